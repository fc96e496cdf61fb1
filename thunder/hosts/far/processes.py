"""Processes there: run to their end, or detached from the pipe; and what they write, followed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from typing import Any

from thunder.hosts.far import slots
from thunder.hosts.far.filesystem import placed
from thunder.hosts.far.refusal import Refused

_FIRST_POLL_SECONDS, _POLL_SECONDS = 0.05, 0.5  # seldom, the longer nothing comes
_MOST_BYTES = 1 << 20


def run(
    words: list[str],
    seconds: float,
    folder: str = "~",
    environment: dict[str, str] | None = None,
    said: str = "",
) -> dict[str, Any]:
    """Run a command to its end, or kill it and what it started when its time is over.

    Args:
        said: what it reads from its standard input.

    Returns {"code", "out", "err"}, of the last two the end where they are long.
    """
    process = subprocess.Popen(
        [placed(words[0]), *words[1:]],
        cwd=placed(folder),
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(said.encode(), timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise Refused(f"{words[0]}: not ended after {seconds:g} s; killed") from None
    return {"code": process.returncode, "out": _end(out), "err": _end(err)}


def spawn(
    words: list[str],
    folder: str,
    log: str,
    environment: dict[str, str] | None = None,
    slot: str | None = None,
) -> int:
    """Start a command that outlives the pipe, in a session of its own; returns its number.

    Args:
        log: the file in the folder that its output is added to.
        slot: one that was taken for it, which it holds from now on.
    """
    place = placed(folder)
    held = [] if slot is None else [slots.handed_over(slot)]
    try:
        with open(os.path.join(place, log), "ab") as stream:
            return subprocess.Popen(
                [placed(words[0]), *words[1:]],
                cwd=place,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                pass_fds=held,
            ).pid
    finally:
        for descriptor in held:
            os.close(descriptor)


def is_locked(path: str) -> bool:
    """Say whether a living process holds the lock of a file: the kernel knows, whatever befell."""
    try:
        descriptor = os.open(placed(path), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # two who ask are no owners
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def follow(
    path: str, offset: int, seconds: float, lock: str, renewed: str | None = None
) -> dict[str, Any]:
    """Return the whole lines that a file has after an offset, as soon as there are any.

    Args:
        seconds: how long they are waited for.
        lock: the file that who writes them has locked; when it is let go, nothing is waited for.
        renewed: a file whose time says to who writes that somebody asked.

    Returns {"text", "offset" behind it, "held"}.
    """
    deadline, place = time.monotonic() + seconds, placed(path)
    pause = _FIRST_POLL_SECONDS
    if renewed and os.path.isfile(placed(renewed)):
        os.utime(placed(renewed))
    while True:
        held = is_locked(lock)  # first: what was written before it was let go is read below
        data = _from(place, offset)
        data = data[: data.rfind(b"\n") + 1]
        if data or not held or time.monotonic() > deadline:
            return {"text": data.decode(), "offset": offset + len(data), "held": held}
        time.sleep(pause)
        pause = min(2 * pause, _POLL_SECONDS)


def state(pid: int) -> str | None:
    """Return the state of a process as `ps` has it (T: stopped, Z: a zombie), None: it is gone."""
    if os.path.isdir("/proc/self"):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
                return stream.read().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return None
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
    return done.stdout.decode().strip()[:1] or None


def _from(path: str, offset: int) -> bytes:
    try:
        with open(path, "rb") as stream:
            stream.seek(offset)
            return stream.read(_MOST_BYTES)
    except FileNotFoundError:
        return b""


def _end(data: bytes) -> str:
    return data[-_MOST_BYTES:].decode("utf-8", errors="replace")
