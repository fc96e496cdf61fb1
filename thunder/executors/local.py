"""This machine: a run is one child process, watched and never left behind."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from thunder.executors.place import Ending, Order
from thunder.ground import run_files, schema
from thunder.hosts import pipe, process
from thunder.hosts.last_words import exit_text, last_lines

# Not `-m`, whose machinery takes one millisecond of a no-op job.
CHILD = ("-c", "from thunder.executors.child import serve; serve()")
_POLL_SECONDS = 0.5
_TERM_SECONDS = 10.0
_LONGEST_EVENT_BYTES = 1 << 20
_SUSPECTS = {-signal.SIGKILL: "; out of memory, or killed by hand"}


@dataclass
class Child:
    """The process of one run, as who started it sees it.

    Args:
        descriptor: where its events arrive.
        last: what it said last of how it ended.
    """

    order: Order
    process: subprocess.Popen[bytes]
    descriptor: int
    last: dict[str, Any] = field(default_factory=dict)


def start(order: Order) -> Child:
    """Start the process of a run."""
    read_end, write_end = os.pipe()
    try:
        with (order.folder / run_files.LOG).open("ab") as log:
            command = [sys.executable, *CHILD, str(order.folder), order.function]
            child = process.start(
                [*command, str(write_end), str(order.lock)],
                stdout=log,
                stderr=log,
                descriptors=(write_end, order.lock),
            )
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    return Child(order, child, read_end)


def follow(child: Child, stopping: threading.Event) -> Iterator[dict[str, Any]]:
    """Yield what the lane says until its process closes its end; a frozen one is killed and named.

    Raises:
        ThunderError: what it sent is no event.
    """
    for event in _events(child, stopping):
        if event["event"] in ("result", "error"):
            child.last = event
        elif event["event"] not in ("alive", "beat"):
            yield event


def stop(child: Child) -> None:
    """End the process and what it started."""
    os.close(child.descriptor)  # first: a child that still talks must not wait for a reader
    process.end([child.process], _TERM_SECONDS)


def fetch(child: Child) -> Ending:
    """Say how a run ended; what it left lies in its folder already."""
    last, code = child.last, child.process.returncode
    if last.get("event") == "result" and code == 0:
        return Ending({k: v for k, v in last.items() if k != "event"}, None)
    error = {k: v for k, v in last.items() if k in ("message", "cause")}
    if last.get("event") != "error":
        how = exit_text(code) + _SUSPECTS.get(code, "")
        error = {"message": f"the run's process {how}", "cause": "crash"}
    return Ending(None, {**error, "last_lines": last_lines(child.order.folder / run_files.LOG)})


def _events(child: Child, stopping: threading.Event) -> Iterator[dict[str, Any]]:
    rest, stopped_at = b"", 0.0
    alive_at = active_at = time.monotonic()
    while True:
        readable, _, _ = select.select([child.descriptor], [], [], _POLL_SECONDS)
        if readable:
            chunk = os.read(child.descriptor, 1 << 16)
            if not chunk:
                return
            alive_at = time.monotonic()
            *lines, rest = (rest + chunk).split(b"\n")
            for event in map(_checked, lines):
                active_at = active_at if event["event"] == "alive" else alive_at
                yield event
            if len(rest) > _LONGEST_EVENT_BYTES:
                raise pipe.garbage(rest)
        elif process.code(child.process) is not None and not _is_readable(child.descriptor):
            return  # it is gone, and what it left behind holds the pipe open
        if stopping.is_set() and not stopped_at:
            stopped_at = time.monotonic()
            process.terminate(child.process)
        fault = _silence(child, alive_at, active_at)
        if fault or (stopped_at and time.monotonic() - stopped_at > _TERM_SECONDS):
            process.kill(child.process)
            if fault and not stopped_at:
                yield {"event": "error", "message": f"{fault}; killed", "cause": "crash"}
            return


def _silence(child: Child, alive_at: float, active_at: float) -> str | None:
    """Return what is wrong with a silent child, None while there is nothing."""
    now, pid = time.monotonic(), child.process.pid
    if now - alive_at > child.order.frozen_seconds:
        return f"the run's process (pid {pid}) was silent for {now - alive_at:.0f} s: it is frozen"
    if now - active_at > child.order.hung_seconds:
        return f"the lane (pid {pid}) said nothing for {now - active_at:.0f} s: it hangs"
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
