"""Recorded, never hashed: commit, dirty diff, versions, host, command; the only caller of git."""

import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from thunder import digest

_GIT_SECONDS = 10
_CODE = Path(__file__).resolve().parent.parent


@cache
def collect() -> dict[str, Any]:
    """Return the provenance of this invocation, taken once, at its start."""
    return {
        **_code(),
        "versions": versions(),
        "host": host(),
        "command": command(),
        "folder": str(Path.cwd()),
    }


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
    found = {dist.metadata["Name"]: dist.version for dist in metadata.distributions()}
    return {"python": platform.python_version(), **dict(sorted(found.items()))}


def _cpu() -> str | None:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _code() -> dict[str, Any]:
    unknown = {"commit": None, "dirty": None, "diff_sha256": None}
    if not (_CODE / ".git").exists():
        return {**unknown, "reason": "thunder is installed, not a checkout"}
    try:
        commit = _git("rev-parse", "HEAD").decode().strip()
        # Untracked files count: code that git does not know can change a result too.
        state = _git("status", "--porcelain=v1", "-z")
        diff = _git("diff", "HEAD", "--binary")
    except (OSError, subprocess.SubprocessError) as error:
        return {**unknown, "reason": f"git did not answer: {error}"}
    dirty = bool(state)
    found = digest.of_bytes(state + diff) if dirty else None
    return {"commit": commit, "dirty": dirty, "diff_sha256": found, "reason": None}


def _git(*words: str) -> bytes:
    return subprocess.run(
        ["git", "-C", str(_CODE), *words], capture_output=True, check=True, timeout=_GIT_SECONDS
    ).stdout
