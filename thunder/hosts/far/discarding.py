"""Run folders there that are removed: never under whoever works on one."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil

from thunder.hosts.far.filesystem import inside, listing, placed
from thunder.hosts.far.processes import is_locked
from thunder.hosts.far.refusal import Refused

_GONE = ".gone-"  # what a run's folder is called while it is removed


def discard(path: str, runs: str, lock: str, digests: dict[str, str]) -> None:
    """Remove the folder of a run while its lock is ours, and no other run goes on.

    Args:
        runs: the folder of all runs there, by kind and name.
        lock: the name of the file in each that who runs it has locked.
        digests: of its files, as they were when it was proven that they may go.
    """
    place = inside(path, runs)
    descriptor = os.open(os.path.join(place, lock), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _own(descriptor, place)
        _check_nobody_reads(placed(runs), place, lock)
        rows = listing(place, hashed=True, names=[*digests]) or []
        if {row["path"]: row.get("sha256") for row in rows} != digests:
            raise Refused(f"{place}: it has changed since it was looked at")
        _remove(place)
    finally:
        os.close(descriptor)


def _own(descriptor: int, place: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(f"{place}: it goes on there") from None


def _check_nobody_reads(runs: str, place: str, lock: str) -> None:
    """Refuse while another run goes on, which may be reading what this one made."""
    for other in glob.glob(os.path.join(glob.escape(runs), "*", "*", lock)):
        run = os.path.dirname(other)
        if os.path.realpath(run) != place and is_locked(other):
            raise Refused(f"{os.path.relpath(run, runs)} goes on there")


def _remove(place: str) -> None:
    """Rename a folder, so that nobody finds half of it, then remove it, and what was cut short."""
    above, name = os.path.split(place)
    os.rename(place, os.path.join(above, f"{_GONE}{name}-{os.getpid()}"))
    for left in os.listdir(above):
        if left.startswith(_GONE):
            shutil.rmtree(os.path.join(above, left), ignore_errors=True)
