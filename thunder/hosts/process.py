"""A process as who started it sees it: leader of its session, on a lifeline, never left behind."""

import contextlib
import math
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from thunder.ground.places import SHIPPED

_PACKAGES = Path(__file__).resolve().parent.parent.parent
_STOPPED = ("stopped", "tracing-stop")
_LOOK_SECONDS = 0.02
# Who looks whether a process has ended, and who sends it a signal: never both at once.
_REAPING = threading.Lock()


def start(
    command: Sequence[str],
    *,
    stdout: int | IO[Any],
    stderr: int | IO[Any],
    descriptors: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start a command; the pipe to its standard input is its lifeline.

    Args:
        descriptors: what it inherits besides its streams.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        pass_fds=descriptors,
        env=_environment(),
        start_new_session=True,
    )


def end(processes: Iterable["subprocess.Popen[bytes]"], seconds: float) -> None:
    """End processes and what they started; return when they are gone.

    Args:
        seconds: how long all of them may take to go by themselves when their lifelines are gone.
    """
    every, deadline = list(processes), time.monotonic() + seconds
    for process in every:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()  # type: ignore[union-attr]
    for process in every:
        wait(process, max(0.0, deadline - time.monotonic()))
    for process in every:
        kill(process)
    for process in every:
        wait(process)


def wait(process: "subprocess.Popen[bytes]", seconds: float = math.inf) -> int | None:
    """Wait until a process has ended, but no longer than told; return its exit code as `code`."""
    deadline = time.monotonic() + seconds
    while (ended := code(process)) is None and (left := deadline - time.monotonic()) > 0:
        _sleep_beside(process, left)
    return ended


def _sleep_beside(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Sleep until a process has ended, if the system tells, else for a moment."""
    if not hasattr(os, "pidfd_open"):
        time.sleep(min(seconds, _LOOK_SECONDS))
        return
    with _REAPING:
        if process.returncode is not None:
            return
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:  # reaped by the system
            return
    try:
        select.select([descriptor], [], [], None if seconds == math.inf else seconds)
    finally:
        os.close(descriptor)


def code(process: "subprocess.Popen[bytes]") -> int | None:
    """Return the exit code, negative for a signal, or None while it runs.

    Here alone a process is reaped, after what it left behind was killed: from then on its number
    may be that of others, who must get no signal. So nobody calls `poll` or `wait` of a process.
    """
    with _REAPING:
        if process.returncode is None and _has_ended(process):
            _kill_group(process)
            process.wait()
        return process.returncode


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Say whether a process is a zombie, and leave it one."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return _status(process.pid) == "zombie"
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # reaped by the system, which was told to ignore SIGCHLD
        process.poll()
        return False


def terminate(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, unless it has."""
    with _REAPING:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGTERM)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the group that a process leads; if it leads none, nobody."""
    with _REAPING:
        if process.returncode is None:
            _kill_group(process)


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS names a zombie so
        os.killpg(process.pid, signal.SIGKILL)


def is_stopped(pid: int) -> bool:
    """Say whether a process was suspended, as by SIGSTOP."""
    return _status(pid) in _STOPPED


def _status(pid: int) -> str | None:
    import psutil

    try:
        return str(psutil.Process(pid).status())
    except psutil.Error:  # it is gone
        return None


def _environment() -> dict[str, str]:
    if SHIPPED.is_relative_to(_PACKAGES / "thunder"):  # a wheel is found where it is installed
        return dict(os.environ)
    # A checkout that is not installed must be found by its children as well.
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
