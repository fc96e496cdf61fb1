"""A run as one child process of this machine, watched and never left behind."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.ground import schema
from thunder.hosts import pipe, process
from thunder.hosts.last_words import exit_text, last_lines

MODULE = "thunder.executors.child"
_POLL_SECONDS = 0.5
_TERM_SECONDS = 10.0
_LONGEST_EVENT_BYTES = 1 << 20
_SUSPECTS = {-signal.SIGKILL: "; out of memory, or killed by hand"}


@dataclass(frozen=True)
class Ending:
    """How a child ended.

    Args:
        result: what the lane returned, when it ended well.
        error: message and cause class, when it did not.
    """

    result: dict[str, Any] | None
    error: dict[str, Any] | None


@dataclass(frozen=True)
class Deadlines:
    """How long a child may be silent.

    Args:
        frozen_seconds: without any sign of life from the process.
        hung_seconds: without a word from the lane in it, though the process lives.
    """

    frozen_seconds: float
    hung_seconds: float


def execute(
    folder: Path,
    function: str,
    *,
    lock: int,
    stop: threading.Event,
    deadlines: Deadlines,
    on_event: Callable[[dict[str, Any]], None],
) -> Ending:
    """Run a lane function on a run folder in a child process, to its end or to a deadline.

    Args:
        lock: descriptor of the run's lock; the child inherits it, so that the run stays owned
            until the last of us is gone.
        stop: set by somebody who wants it stopped.
    """
    last: dict[str, Any] = {}
    child, read_end = _begin(folder, function, lock)
    try:
        for event in _events(read_end, child, stop, deadlines):
            if event["event"] in ("result", "error"):
                last = event
            elif event["event"] not in ("alive", "beat"):
                on_event(event)
    finally:
        os.close(read_end)  # first: a child that still talks must not wait for a reader
        process.end([child], _TERM_SECONDS)
    return _ending(last, child.returncode, folder)


def _begin(folder: Path, function: str, lock: int) -> tuple[subprocess.Popen[bytes], int]:
    """Start the child; return it and the descriptor that its events arrive on."""
    read_end, write_end = os.pipe()
    try:
        with (folder / "run.log").open("ab") as log:
            command = [sys.executable, "-m", MODULE, str(folder), function, str(write_end)]
            child = process.start(command, stdout=log, stderr=log, descriptors=(write_end, lock))
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    return child, read_end


def _events(
    descriptor: int, child: subprocess.Popen[bytes], stop: threading.Event, deadlines: Deadlines
) -> Iterator[dict[str, Any]]:
    """Yield the child's events until it closes its end; a frozen child is killed and named."""
    rest, asked = b"", 0.0
    heard = said = time.monotonic()
    while True:
        readable, _, _ = select.select([descriptor], [], [], _POLL_SECONDS)
        if readable:
            data = os.read(descriptor, 1 << 16)
            if not data:
                return
            heard = time.monotonic()
            *lines, rest = (rest + data).split(b"\n")
            for event in map(_checked, lines):
                said = said if event["event"] == "alive" else heard
                yield event
            if len(rest) > _LONGEST_EVENT_BYTES:
                raise pipe.garbage(rest)
        elif child.poll() is not None and not _is_readable(descriptor):
            return  # it is gone, and what it left behind holds the pipe open
        if stop.is_set() and not asked:
            asked = time.monotonic()
            child.terminate()
        fault = _silence(child.pid, heard, said, deadlines)
        if fault or (asked and time.monotonic() - asked > _TERM_SECONDS):
            process.kill(child)
            if fault and not asked:
                yield {"event": "error", "message": f"{fault}; killed", "cause": "crash"}
            return


def _silence(pid: int, heard: float, said: float, deadlines: Deadlines) -> str | None:
    """Return what is wrong with a silent child, None while there is nothing."""
    now = time.monotonic()
    if now - heard > deadlines.frozen_seconds:
        return f"the run's process (pid {pid}) was silent for {now - heard:.0f} s: it is frozen"
    if now - said > deadlines.hung_seconds:
        return f"the lane (pid {pid}) said nothing for {now - said:.0f} s: it hangs"
    return None


def _is_readable(descriptor: int) -> bool:
    """Say whether a child that is gone by now has left something to read."""
    return bool(select.select([descriptor], [], [], 0)[0])


def _checked(line: bytes) -> dict[str, Any]:
    """Return the event of a line; one that lacks a key of its kind ends the run."""
    event = pipe.parsed(line)
    if faults := schema.faults("event", event):
        raise pipe.garbage(line, [f"{fault.key}: {fault.message}" for fault in faults])
    return event


def _ending(last: dict[str, Any], code: int, folder: Path) -> Ending:
    if last.get("event") == "result" and code == 0:
        return Ending({k: v for k, v in last.items() if k != "event"}, None)
    error = {k: v for k, v in last.items() if k in ("message", "cause")}
    if last.get("event") != "error":
        how = exit_text(code) + _SUSPECTS.get(code, "")
        error = {"message": f"the run's process {how}", "cause": "crash"}
    return Ending(None, {**error, "last_lines": last_lines(folder / "run.log")})
