"""Slots of a machine: as many runs there at once as who begins one lets it have, whoever they are.

A slot is a file whose lock is held: by the agent until the run begins, by the run until it ends.
The kernel lets it go with the last of them, whatever befell.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from thunder.hosts.far.filesystem import placed

_DOOR = ".door"  # who takes a slot goes through it alone
_held: dict[str, int] = {}  # those of runs that have not begun


def take_slot(folder: str, name: str, most: int) -> dict[str, Any]:
    """Take a slot for a run; one that this agent holds for it already is as good.

    Args:
        most: how many runs there may be, this one among them.

    Returns {"taken", "others"}: whether it has one, and the runs that have the other ones.
    """
    place = os.path.join(placed(folder), name)
    with _alone(placed(folder)):
        names = sorted({*os.listdir(placed(folder))} - {_DOOR})
        if place in _held:
            return {"taken": True, "others": [one for one in names if one != name]}
        others = [one for one in names if _is_taken(folder, one)]
        if len(others) >= most or name in others:
            return {"taken": False, "others": others}
        _held[place] = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(_held[place], fcntl.LOCK_EX)
        return {"taken": True, "others": others}


def leave_slot(folder: str, name: str) -> None:
    """Give a slot back, unless what was begun in it has it by now."""
    held = _held.pop(os.path.join(placed(folder), name), None)
    if held is not None:
        os.close(held)


def handed_over(slot: str) -> int:
    """Return the descriptor of a slot, for the process that is to hold it from now on."""
    return _held.pop(placed(slot))


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    os.makedirs(folder, exist_ok=True)
    door = os.open(os.path.join(folder, _DOOR), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield
    finally:
        os.close(door)


def _is_taken(folder: str, name: str) -> bool:
    """Say whether somebody holds a slot; one that nobody holds any more is removed."""
    place = os.path.join(placed(folder), name)
    descriptor = os.open(place, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        os.remove(place)
        return False
    finally:
        os.close(descriptor)
