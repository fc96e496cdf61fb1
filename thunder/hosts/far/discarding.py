"""Run folders there that are removed: never under whoever works on one, or is about to."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import time

from thunder.hosts.far.filesystem import inside, listing, placed, read
from thunder.hosts.far.processes import is_locked
from thunder.hosts.far.refusal import Refused

SENDING = ".sending-"  # before a run's name: what who brings it, with all that it needs, has locked
_GONE = ".gone-"  # what a run's folder is called while it is removed


def living(runs: str, lock: str, sent: str, begun: str) -> list[str]:
    """Return the runs, by kind and name, that somebody works on there, or is about to.

    Args:
        runs: the folder of all runs there, by kind and name.
        lock: the name of the file in each that who runs it has locked.
        sent: the files in each, as a pattern, that say for how many seconds since they were
            touched somebody means to begin it.
        begun: the name of the file beside such a one, once that was done.
    """
    return sorted({*_locked(runs, lock), *_expected(runs, sent, begun)})


def discard(
    path: str, runs: str, lock: str, sent: str, begun: str, digests: dict[str, str]
) -> None:
    """Remove the folder of a run while its lock is ours, and no other one lives: see `living`.

    Args:
        digests: of its files, as they were when it was proven that they may go.
    """
    place = inside(path, runs)
    own = os.path.relpath(place, os.path.realpath(placed(runs)))
    descriptor = os.open(os.path.join(place, lock), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _own(descriptor, place)
        # Now: who is on the way looks whether this lock is held before it believes what lies here.
        others = [run for run in _locked(runs, lock) if run != own]
        for run in (*others, *_expected(runs, sent, begun)):
            raise Refused(f"{run} goes on there")
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


def _locked(runs: str, lock: str) -> list[str]:
    return [_name(runs, path) for path in _matching(runs, f"*/*/{lock}") if is_locked(path)]


def _expected(runs: str, sent: str, begun: str) -> list[str]:
    """Return the runs that are on their way there, or lie there for somebody to begin them."""
    coming = [path for path in _matching(runs, f"*/{SENDING}*") if is_locked(path)]
    waiting = [
        path
        for path in _matching(runs, f"*/*/{sent}")
        if not os.path.exists(os.path.join(os.path.dirname(path), begun)) and _is_good(path)
    ]
    return [_name(runs, path) for path in (*coming, *waiting)]


def _matching(runs: str, pattern: str) -> list[str]:
    return sorted(glob.glob(os.path.join(glob.escape(placed(runs)), pattern)))


def _name(runs: str, path: str) -> str:
    """Return the kind and name of the run that a file is of."""
    kind, name = os.path.relpath(path, placed(runs)).split(os.sep)[:2]
    return f"{kind}/{name[len(SENDING) :] if name.startswith(SENDING) else name}"


def _is_good(path: str) -> bool:
    try:
        return time.time() - os.stat(path).st_mtime < float(read(path) or 0)
    except FileNotFoundError:  # removed since
        return False


def _remove(place: str) -> None:
    """Rename a folder, so that nobody finds half of it, then remove it, and what was cut short."""
    above, name = os.path.split(place)
    os.rename(place, os.path.join(above, f"{_GONE}{name}-{os.getpid()}"))
    for left in os.listdir(above):
        if left.startswith(_GONE):
            shutil.rmtree(os.path.join(above, left), ignore_errors=True)
