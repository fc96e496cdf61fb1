"""What the user can mend: errors that are shown as one message, without a traceback."""

from __future__ import annotations

import errno

TYPE_CHECKING = False  # importing typing to ask it would cost a tenth of a no-op job
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    Cause = Literal[
        "user", "data", "model", "environment", "ranks",
        "training", "write", "verification", "stopped", "crash",
    ]  # fmt: skip
else:
    Cause = str  # what imports the name needs something under it

EXIT_FAILED, EXIT_STOPPED = 1, 130  # the second as of a process that SIGINT ended

_CAUSES: Mapping[Cause, tuple[int, ...]] = {
    "write": (
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
    ),
    "data": (errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    "environment": (
        errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.EADDRINUSE,
        errno.EADDRNOTAVAIL, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH,
    ),
}  # fmt: skip
_CAUSE_BY_NUMBER = {number: cause for cause, numbers in _CAUSES.items() for number in numbers}


class ThunderError(Exception):
    """A mistake or mishap that the user can act on.

    Args:
        message: place, what was found, what is allowed or what to do next.
        cause: the cause class, as listed in docs/contracts.md.
    """

    def __init__(self, message: str, cause: Cause = "user") -> None:
        super().__init__(message)
        self.cause = cause


class Faults(ThunderError):
    """Several faults of one input, reported together."""

    def __init__(self, title: str, faults: Sequence[str], cause: Cause = "user") -> None:
        super().__init__("\n".join([title, *(f"  {fault}" for fault in faults)]), cause)
        self.faults = list(faults)


class Stopped(ThunderError):
    """Somebody stopped the work; what is on disk can be resumed."""

    def __init__(self, message: str = "stopped") -> None:
        super().__init__(message, "stopped")


def cause_of(error: BaseException) -> Cause:
    """Return the cause class of whatever ended a job."""
    if isinstance(error, ThunderError):
        return error.cause
    if isinstance(error, OSError):
        return _CAUSE_BY_NUMBER.get(error.errno or 0, "crash")
    return "crash"


def exit_code(error: ThunderError) -> int:
    """Return the exit code of a command that an error ended."""
    return EXIT_STOPPED if error.cause == "stopped" else EXIT_FAILED


def message_of(error: BaseException) -> str:
    """Return what a person is told of whatever ended a job."""
    if isinstance(error, ThunderError):
        return str(error)
    if isinstance(error, OSError):
        return of_os_error(error)
    return f"{type(error).__name__}: {error}"


def of_os_error(error: OSError, path: object = None) -> str:
    """Return what the system refused, with its path, in one line.

    Args:
        path: what was asked for, as a person would name it; an error of a stream names no file.
    """
    # Of two, a copy names its source first, and it is the target that takes no more.
    is_target = error.filename2 and error.errno in _CAUSES["write"]
    place = path or (error.filename2 if is_target else error.filename)
    return f"{f'{place}: ' if place else ''}{reason_of(error)}"


def reason_of(error: Exception) -> str:
    """Return why something failed, without its path: the system's word, or what a library says."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def first_line(error: BaseException) -> str:
    """Return the first line of what a library says, or its type where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
