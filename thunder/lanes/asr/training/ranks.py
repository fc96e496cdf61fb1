"""The supervisor of ranks: has torch's launcher start them, hears them, leaves none behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import thunder
from thunder.backends.torch import launcher
from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.training import rank
from thunder.training.events import Emit
from thunder.training.progress import Throttle

MODULE = "thunder.backends.torch.launcher"
ORDER = "order.json"
LOG = "ranks.log"
POLL_SECONDS = 0.05
END_SECONDS = 3.0
LAST_LINES = 8
# A peer that hangs is named by the supervisor, so the ranks' own patience must be longer.
TIMEOUT_FACTOR = 2
OWN_EVENTS = {"beat", "hello", "begun", "done", "error"}


@dataclass
class _Heard:
    """What was heard of one rank so far."""

    path: Path
    at: float
    offset: int = 0
    pid: int | None = None
    begun: bool = False  # to train: before, torch loads and connects, and may take longer
    error: dict[str, Any] | None = None
    done: bool = False


@dataclass
class _Watch:
    """The ranks of a run while they work."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    emit: Emit
    stall_seconds: float
    start_seconds: float
    heard: list[_Heard] = field(default_factory=list)


def train(config: Mapping[str, Any], folder: Path, threads: int | None, emit: Emit) -> None:
    """Train on `train.ranks` processes of this host until last.pt says that training is over.

    Raises:
        ThunderError: what a rank said, or, with the cause `ranks`, that one died or hangs.
    """
    runtime = config["runtime"]
    # Not in the run folder: a path there may be too long or slow, and nothing of it is kept.
    with tempfile.TemporaryDirectory(prefix="thunder-ranks-") as name:
        place = Path(name)
        order = {
            "config": dict(config),
            "folder": str(folder),
            "threads": threads,
            "timeout_seconds": TIMEOUT_FACTOR * runtime["stall_seconds"],
        }
        files.write_json(place / ORDER, order)
        with (place / LOG).open("wb") as log:
            process = _started(place, log)
        watch = _Watch(process, place, emit, runtime["stall_seconds"], runtime["start_seconds"])
        try:
            _watch(watch, config["train"]["ranks"])
        finally:
            _end(watch)
            print((place / LOG).read_text(errors="replace"), end="", file=sys.stderr, flush=True)


def _started(place: Path, log: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, rank.MODULE, str(place / ORDER)],
        stdin=subprocess.PIPE,  # the lease: closed when this process ends, however it ends
        stdout=log,
        stderr=subprocess.STDOUT,
        env=_environment(),
        start_new_session=True,
    )


def _watch(watch: _Watch, ranks: int) -> None:
    now = time.monotonic()
    watch.heard = [_Heard(rank.events_path(watch.folder, n), now) for n in range(ranks)]
    throttle = Throttle(watch.emit)
    while watch.process.poll() is None:
        _hear(watch)
        _check_silence(watch)
        throttle.beat()
        with suppress(subprocess.TimeoutExpired):
            watch.process.wait(POLL_SECONDS)
    _hear(watch)
    if watch.process.returncode != 0 or not all(one.done for one in watch.heard):
        raise _cause(watch)


def _hear(watch: _Watch) -> None:
    """Take in what the ranks have said since, and pass on what is for the runner."""
    for one in watch.heard:
        if not one.path.exists():
            continue
        with one.path.open("rb") as stream:
            stream.seek(one.offset)
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        one.offset += len(whole)
        for line in whole.splitlines():
            one.at = time.monotonic()
            _take(watch, one, json.loads(line))


def _take(watch: _Watch, one: _Heard, event: dict[str, Any]) -> None:
    match event["event"]:
        case "hello":
            one.pid = event["pid"]
        case "begun":
            one.begun = True
        case "error":
            one.error = event
        case "done":
            one.done = True
    if event["event"] not in OWN_EVENTS:
        watch.emit(event)


def _check_silence(watch: _Watch) -> None:
    now = time.monotonic()
    silent = [
        number
        for number, one in enumerate(watch.heard)
        if not one.done
        and now - one.at > (watch.stall_seconds if one.begun else watch.start_seconds)
    ]
    if silent:
        # The others fall silent with it: they wait for its share.
        stopped = [n for n, one in enumerate(watch.heard) if _is_stopped(one.pid)]
        why = f"rank {stopped[0]} is suspended" if stopped else "a process or a link hangs"
        seconds = max(now - watch.heard[n].at for n in silent)
        raise ThunderError(
            f"no sign of life from ranks {silent} for {seconds:.0f} s: {why}; "
            "run again to go on from the last epoch",
            "ranks",
        )


def _cause(watch: _Watch) -> ThunderError:
    """Return the first thing that went wrong, not what followed from it."""
    path = watch.folder / launcher.FAILURES
    failures = files.read_json(path) if path.exists() else []
    killed = [one for one in failures if one["code"] < 0 and not watch.heard[one["rank"]].error]
    if killed:
        first = min(killed, key=lambda one: (one["code"] == -signal.SIGTERM, one["at"]))
        return ThunderError(
            f"rank {first['rank']} (pid {first['pid']}) was killed by "
            f"{signal.Signals(-first['code']).name}; run again to go on from the last epoch",
            "ranks",
        )
    errors = [one.error for one in watch.heard if one.error]
    if errors:
        # What a rank reports as a crash may be the loss of a peer that said why it went.
        told = min(errors, key=lambda error: (error["cause"] == "crash", error["at"]))
        return ThunderError(told["message"], told["cause"])
    words = (watch.folder / LOG).read_text(errors="replace").splitlines()[-LAST_LINES:]
    said = "".join(f"\n    {line}" for line in words)
    return ThunderError(f"the ranks ended without a word; the end of their log:{said}", "ranks")


def _end(watch: _Watch) -> None:
    """Leave no process behind: take the lease back, kill what does not go, wait for its end."""
    with suppress(BrokenPipeError):
        watch.process.stdin.close()  # type: ignore[union-attr]
    _wait(watch.process)
    for one in watch.heard:
        _kill_group(one.pid)
    _wait(watch.process)  # it reaps them; once it is gone nobody may
    if watch.process.poll() is None:
        _kill_group(watch.process.pid)
    watch.process.wait()
    deadline = time.monotonic() + END_SECONDS
    # A signal only says that a process is to die.
    while any(_is_running(one.pid) for one in watch.heard) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _wait(process: "subprocess.Popen[bytes]") -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)


def _kill_group(pid: int | None) -> None:
    """Kill a process that leads a session of its own; a number that is now another's does not."""
    with suppress(ProcessLookupError, PermissionError):
        if pid is not None and os.getsid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)


def _is_stopped(pid: int | None) -> bool:
    return _status(pid).startswith("T")


def _is_running(pid: int | None) -> bool:
    return _status(pid)[:1] not in ("", "Z")


def _status(pid: int | None) -> str:
    """Return what ps says of a process: T stopped, Z dead and not reaped, nothing when gone."""
    if pid is None:
        return ""
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _environment() -> dict[str, str]:
    # A checkout that is not installed must be found by its ranks as well.
    package = str(Path(thunder.__file__).resolve().parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    # Set, since torch's launcher would set it to 1 with a warning; each rank sets its own threads.
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": threads}
