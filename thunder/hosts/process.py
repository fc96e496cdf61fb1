"""A process as who started it sees it: leader of its own session, on a lease, never left behind."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from thunder.ground.files import SHIPPED

_PACKAGES = Path(__file__).resolve().parent.parent.parent
_STOPPED = ("stopped", "tracing-stop")


def start(
    command: Sequence[str],
    *,
    stdout: int | IO[Any],
    stderr: int | IO[Any],
    descriptors: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start a command; the pipe to its standard input is its lease.

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
        seconds: how long all of them may take to go by themselves when their leases are gone.
    """
    every, deadline = list(processes), time.monotonic() + seconds
    for process in every:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()  # type: ignore[union-attr]
    for process in every:
        _wait(process, max(0.0, deadline - time.monotonic()))
    for process in every:
        kill(process)  # its whole session: one that was killed may have left children behind
    for process in every:
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Wait until a process has ended, but no longer than told."""
    begun = time.monotonic()
    if process.poll() is None and hasattr(os, "pidfd_open"):
        # Popen looks again after ever longer sleeps: two milliseconds of a no-op job.
        with contextlib.suppress(ProcessLookupError):  # another thread has reaped it
            descriptor = os.pidfd_open(process.pid)
            try:
                select.select([descriptor], [], [], seconds)
            finally:
                os.close(descriptor)
    seconds = max(0.0, seconds - (time.monotonic() - begun))
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the group that a process leads; if it leads none, nobody."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS names a zombie so
        os.killpg(process.pid, signal.SIGKILL)


def is_stopped(pid: int) -> bool:
    """Say whether a process was suspended, as by SIGSTOP."""
    import psutil

    try:
        return psutil.Process(pid).status() in _STOPPED
    except psutil.Error:  # it is gone
        return False


def _environment() -> dict[str, str]:
    if SHIPPED.is_relative_to(_PACKAGES / "thunder"):  # a wheel is found where it is installed
        return dict(os.environ)
    # A checkout that is not installed must be found by its children as well.
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
