"""Thunder run by tests: in this process, or as a command whose processes can be killed."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from thunder.commands import launch, requests
from thunder.executors import local
from thunder.ground import files
from thunder.jobs import kinds
from thunder.runner.execute import Outcome
from thunder.runs import provenance, store
from thunder.runs.cells import Planned
from thunder.runs.run import Run

HERE = Path(__file__).resolve().parent
DEADLINE_SECONDS = 60.0
# What a dry run leaves; change it only when the run folder of design.md changes.
DRY_FOLDER = {".lock", "config.json", "manifest.json", "metrics.json", "run.json", "run.log"}

_WITH_LANE = """
import sys
from thunder.jobs import kinds
kinds.KINDS["dry"] = kinds.Kind("odd_lanes:" + sys.argv.pop(1), 1)
from thunder.__main__ import main
sys.exit(main())
"""


def environment() -> dict[str, str]:
    """Return an environment in which children find the lanes of the tests."""
    return {**os.environ, "PYTHONPATH": str(HERE), "PYTHONWARNINGS": "error"}


def command(*words: str, lane: str | None = None) -> list[str]:
    """Return a command line of thunder; with a lane, the dry kind is that lane."""
    head = ["-m", "thunder"] if lane is None else ["-c", _WITH_LANE, lane]
    return [sys.executable, *head, *words]


def thunder(
    *words: str, lane: str | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of thunder to its end."""
    return subprocess.run(
        command(*words, lane=lane),
        capture_output=True,
        text=True,
        env=environment(),
        cwd=cwd,
        timeout=2 * DEADLINE_SECONDS,
        check=False,
    )


def begin(*words: str, lane: str | None = None) -> subprocess.Popen[str]:
    """Begin a command of thunder in a session of its own."""
    return subprocess.Popen(
        command(*words, lane=lane),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a command; return its exit code, output and errors."""
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    return process.returncode, out, err


def here(*words: str, sweep: bool = False) -> int:
    """Run a command of thunder in this process."""
    return launch.run(requests.read(words, sweep=sweep))


def with_lane(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the dry kind be a lane of the tests, in this process."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setitem(kinds.KINDS, "dry", kinds.Kind(f"odd_lanes:{name}", 1))


def let_code_be_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code of runs be one clean commit, whatever state the checkout is in."""
    clean = {"commit": "0" * 40, "dirty": False, "diff_sha256": None, "reason": None}
    clean_code = {**provenance.collect(), **clean}
    monkeypatch.setattr(provenance, "collect", lambda: clean_code)
    monkeypatch.setattr(provenance, "changes", lambda: b"")


def only_run(outputs: Path) -> Run:
    """Return the one run that there is."""
    (run,) = store.all_runs(outputs)
    return run


def statuses(outputs: Path) -> list[str]:
    """Return the status of every run."""
    return [run.status() for run in store.all_runs(outputs)]


def attempts(outputs: Path) -> int:
    """Return how many attempts there were, over all runs."""
    return sum(len(run.record()["attempts"]) for run in store.all_runs(outputs))


def error_of(run: Run) -> dict[str, Any]:
    """Return the error of the last attempt."""
    return dict(run.record()["attempts"][-1]["error"])


def names_in(folder: Path) -> set[str]:
    """Return the names in a folder, hidden ones too, whatever state the checkout is in."""
    return {p.name for p in folder.iterdir() if not p.name.startswith("uncommitted-")}


def inodes(folder: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of every file, which any rewriting would change."""
    stats = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path.name: (stat.st_ino, stat.st_mtime_ns) for path, stat in stats.items()}


def wait_for(claim: Callable[[], Any], what: str) -> None:
    """Wait until a claim is true; a generous deadline says what never came."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not claim():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.01)


def children(outputs: Path) -> list[int]:
    """Return the living processes that work in a folder of outputs."""
    children = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            state = (path / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        is_child = local.CHILD[1].encode() in words
        is_child &= any(word.startswith(bytes(outputs)) for word in words)
        if is_child and state != "Z":
            children.append(int(path.name))
    return children


def wait_for_children(outputs: Path, count: int) -> list[int]:
    """Wait until so many runs work behind their gates; return their processes."""
    wait_for(lambda: len(list(outputs.glob("dry/*/began"))) >= count, f"{count} runs at work")
    return children(outputs)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill -9 a command that a test began."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=DEADLINE_SECONDS)


def in_namespace(script: str, *, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script in mounts of its own; skip where neither root nor user may mount."""
    flags = ["-m"] if os.geteuid() == 0 else ["-rm"]
    probe = f"mount -t tmpfs -o size=4k tmpfs '{folder}'"
    tool = shutil.which("unshare")
    if (
        not tool
        or subprocess.run([tool, *flags, "sh", "-c", probe], capture_output=True).returncode
    ):
        pytest.skip("mounting needs root or user namespaces")
    return subprocess.run(
        [tool, *flags, "sh", "-c", script],
        capture_output=True,
        text=True,
        env=environment() | {"PYTHON": sys.executable, "WITH_LANE": _WITH_LANE},
        timeout=2 * DEADLINE_SECONDS,
        check=False,
    )


@contextlib.contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Let the system refuse what makes a file larger, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Silent:
    """A screen that only remembers how runs ended."""

    def __init__(self) -> None:
        self.endings: list[Outcome] = []

    def begin(self, planned: Planned) -> None:
        """Show nothing."""

    def event(self, planned: Planned, event: dict[str, Any]) -> None:
        """Show nothing."""

    def end(self, outcome: Outcome) -> None:
        """Remember."""
        self.endings.append(outcome)

    def note(self, text: str) -> None:
        """Show nothing."""

    def ask(self, question: str) -> str:
        """Answer nothing."""
        return ""


def write_matrix(folder: Path, name: str, text: str) -> Path:
    """Write a matrix beside a conf/ folder that has ours behind it; return that conf/ folder."""
    files.write_text(folder / "matrices" / f"{name}.yaml", text)
    files.write_text(folder / "conf" / "profile" / f"own_{name}.yaml", OWN_PROFILE)
    return folder / "conf"


OWN_PROFILE = """\
# @package _global_
# A profile of the tests.
kind: dry

dry:
  value: 1.0
  sleep_seconds: 0
  fail: false
"""
