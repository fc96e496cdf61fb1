"""Whether the run that a process works on still has its place, asked before each write.

The environment says which lock it is, so that ranks and workers of a run know it as well.
"""

import os

from thunder.ground.errors import ThunderError

_VARIABLE = "THUNDER_LOCK"


def keep(lock: str, descriptor: int) -> None:
    """Have this process, and those that it starts, write as long as a path names our lock.

    Args:
        descriptor: of the lock; while it is open, no other file has its number.
    """
    status = os.fstat(descriptor)
    os.environ[_VARIABLE] = f"{status.st_dev}:{status.st_ino}:{os.path.abspath(lock)}"


def check() -> None:
    """Raise when the path names another file by now, or none: what is written would bar the run."""
    if _VARIABLE not in os.environ:
        return
    device, number, lock = os.environ[_VARIABLE].split(":", 2)
    try:
        status = os.stat(lock)
    except OSError:
        status = None
    if status is None or (status.st_dev, status.st_ino) != (int(device), int(number)):
        folder = os.path.dirname(lock)
        raise ThunderError(f"{folder}: moved or removed while its run went on", "verification")
