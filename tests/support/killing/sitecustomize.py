"""Dies by SIGKILL right before the N-th thing that a process does to the files of a folder.

Python loads this at its start where this folder is on its path; the tests put it there, for the
command that they begin and for all that it starts. Environment variables say what to do:

KILL_WITHIN: the folder whose files count. KILL_LOG: a file that gets a line per operation.
KILL_ROLE: what the command line of the process that dies has in it. KILL_AT: N, from 1.
KILL_TORN: whether a row that would be added to a `.jsonl` file is there by half.
"""

import os
import signal
import sys
from typing import Any

_WITHIN = os.environ.get("KILL_WITHIN", "")
_LOG = os.environ.get("KILL_LOG", "")
_ROLE = os.environ.get("KILL_ROLE", "")
_AT = int(os.environ.get("KILL_AT", "0"))
_TORN = "KILL_TORN" in os.environ
_COMMAND = " ".join(sys.orig_argv)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# By the names of Python's audit events, each raised before the thing is done.
_CHANGES = (
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.link",
    "os.symlink",
)  # fmt: skip
_fsync = os.fsync
_done = 0
_is_busy = False


def _audit(event: str, values: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = values
        if isinstance(flags, int) and flags & _WRITES:
            _operate(event, path, is_added=bool(flags & os.O_APPEND))
    elif event in _CHANGES:
        _operate(event, values[0])


def _synced(descriptor: int) -> None:
    _operate("os.fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
    _fsync(descriptor)


def _operate(name: str, path: Any, *, is_added: bool = False) -> None:
    global _done, _is_busy
    if _is_busy or not isinstance(path, str | bytes | os.PathLike):
        return
    path = os.path.abspath(os.fsdecode(path))
    if not path.startswith(_WITHIN + os.sep) or _ROLE not in _COMMAND:
        return
    _done += 1
    _is_busy = True
    if _LOG:
        _append(_LOG, f"{name} {path.removeprefix(_WITHIN)}\n")
    if _done == _AT:
        if _TORN and is_added and path.endswith(".jsonl"):
            _append(path, '{"step": 1, "loss"')
        os.kill(os.getpid(), signal.SIGKILL)
    _is_busy = False


def _append(path: str, line: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(descriptor, line.encode())
    os.close(descriptor)


if _WITHIN:
    os.fsync = _synced
    sys.addaudithook(_audit)
