"""Recorded, never hashed: commit, dirty diff, versions, host, command; the only caller of git."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from thunder.ground import digest

_GIT_SECONDS = 10
_CODE = Path(__file__).resolve().parent.parent.parent
_CODE_SUFFIXES = {".py", ".yaml", ".yml", ".toml"}


@cache
def collect() -> dict[str, Any]:
    """Return the provenance of this invocation, taken once, at its start."""
    return {
        **code(),
        "versions": versions(),
        "host": host(),
        "command": command(),
        "folder": str(Path.cwd()),
    }


@cache
def changes() -> bytes:
    """Return what this checkout has beyond its commit, empty when that is nothing or unknown."""
    return uncommitted() if collect()["dirty"] else b""


def code(folder: Path = _CODE) -> dict[str, Any]:
    """Return commit and state of a checkout; the digest of its changes tells two states apart."""
    unknown = {"commit": None, "dirty": None, "diff_sha256": None}
    if not (folder / ".git").exists():
        return {**unknown, "reason": "thunder is installed, not a checkout"}
    try:
        commit = _git(folder, "rev-parse", "HEAD").decode().strip()
        diff = uncommitted(folder)
    except subprocess.CalledProcessError as error:
        complaint = error.stderr.decode(errors="replace").strip().splitlines()
        return {**unknown, "reason": f"git: {complaint[0] if complaint else error}"}
    except (OSError, subprocess.SubprocessError) as error:
        return {**unknown, "reason": f"git did not answer: {error}"}
    diff_sha256 = digest.of_bytes(diff) if diff else None
    return {"commit": commit, "dirty": bool(diff), "diff_sha256": diff_sha256, "reason": None}


def uncommitted(folder: Path = _CODE) -> bytes:
    """Return what a checkout has beyond its commit: status, diff, code that git does not know.

    Data that lie in a checkout without being code leave it as clean as it was.
    """
    state = _git(folder, "status", "--porcelain=v1", "--untracked-files=no")
    unknown = list(_untracked(folder))
    if not (state or unknown):
        return b""
    diff = _git(folder, "diff", "HEAD", "--binary", "--no-ext-diff")
    return b"\n".join([state, diff, *unknown])


def command() -> list[str]:
    """Return the command of this process, word by word, as a person would type it."""
    name = Path(sys.argv[0]).name
    program = ["python", "-m", "thunder"] if name == "__main__.py" else [name]
    return [*program, *sys.argv[1:]]


def host() -> dict[str, Any]:
    """Return what machine this is."""
    return {
        "name": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cores": os.cpu_count() or 1,
    }


def versions() -> dict[str, str]:
    """Return Python's version and that of every installed package."""
    from importlib import metadata  # of no use to a plan, and slow to load

    installed = {dist.metadata["Name"]: dist.version for dist in metadata.distributions()}
    known = sorted((name, version) for name, version in installed.items() if name and version)
    return {"python": platform.python_version(), **dict(known)}


def _cpu() -> str | None:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _untracked(folder: Path) -> Iterator[bytes]:
    """Yield code and configs that git does not know: they can change a result too."""
    names = _git(folder, "ls-files", "--others", "--exclude-standard", "-z").split(b"\0")
    for name in sorted(name for name in names if name):
        path = folder / os.fsdecode(name)
        is_schema = path.suffix == ".json" and path.parent.name == "schemas"
        if (is_schema or path.suffix in _CODE_SUFFIXES) and path.is_file():
            yield b"untracked " + name + b"\n" + path.read_bytes()


def _git(folder: Path, *words: str) -> bytes:
    # A git hook sets GIT_DIR and its kin, which would answer for another checkout.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return subprocess.run(
        ["git", "--no-optional-locks", "-C", str(folder), *words],
        capture_output=True,
        check=True,
        timeout=_GIT_SECONDS,
        env=environment,
    ).stdout
