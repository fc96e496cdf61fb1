"""The lock of a run: it says whose the run is, and the kernel frees it when its owner dies."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thunder.ground import run_files
from thunder.ground.errors import ThunderError, reason_of
from thunder.ground.places import check_outputs

_LOCK_TRIES = 5
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class Busy(ThunderError):
    """Another runner owns the run."""


class Moved(ThunderError):
    """The folder of a run was moved or removed, or its lock was, while we owned it."""


@dataclass(frozen=True)
class Lock:
    """The lock of a run that is ours.

    Args:
        descriptor: for children to inherit: the kernel frees the lock when every process that
            holds it is gone.
    """

    path: Path
    descriptor: int

    def check(self) -> None:
        """Raise Moved when the path names another file by now, or none: the run is not ours."""
        held = os.fstat(self.descriptor)
        with contextlib.suppress(OSError):
            if os.path.samestat(held, self.path.stat()):
                return
        raise Moved(
            f"{self.path.parent}: the folder or its {run_files.LOCK} was moved or removed while "
            "the run went on; nothing more is written there: if no other run has it by now "
            "(thunder status), move away what is left of it, then run again",
            "verification",  # no cause that passes: a retry would not find what it goes on from
        )


def is_held(folder: Path) -> bool:
    """Say whether a living process owns the run of a folder."""
    path = folder / run_files.LOCK
    if not path.is_file():
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return True  # nobody can say, and what may be running is left alone
    finally:
        os.close(descriptor)
    return False


@contextmanager
def owned(folder: Path) -> Iterator[Lock]:
    """Own the run of a folder while the block runs.

    Raises:
        Busy: another process owns it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        check_outputs(folder)
        raise
    path = folder / run_files.LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(descriptor, path)
        yield Lock(path, descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    for attempt in range(_LOCK_TRIES):  # a reader of the status may hold it for an instant
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt == _LOCK_TRIES - 1:
                raise Busy(f"{path.parent} is being run by another process") from None
            time.sleep(0.02)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise ThunderError(
                f"{path}: {reason_of(error)}: this file system, a network's perhaps, lets nobody "
                "lock a file, so two runners could write one run; set outputs=FOLDER on a disk of "
                "this machine",
            ) from error
