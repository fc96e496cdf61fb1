"""Whose turn it is: the first cells, in order, that a machine is free for and has room for."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from thunder.runs.cells import Planned

_HERE = "local"

Group = list[Planned]  # the cells of one job


class Queue:
    """Groups of cells that wait for their turn.

    Args:
        at_once: how many turns there are, on all machines together.
    """

    def __init__(self, groups: Sequence[Group], at_once: int) -> None:
        self._left = [(group, _machines(group[0])) for group in groups]
        self._at_once = at_once
        self._busy: Counter[str] = Counter()
        self._change = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[Group]:
        """Wait until it is the turn of a group; yield it, with the machine that is free for it."""
        with self._change:
            while (found := self._next()) is None:
                self._change.wait()
            group, machine = found
            self._busy[machine] += 1
        try:
            yield [replace(row, machine=machine) for row in group]
        finally:
            with self._change:
                self._busy[machine] -= 1
                self._change.notify_all()

    def _next(self) -> tuple[Group, str] | None:
        for place, (group, (machines, of)) in enumerate(self._left):
            most = max(1, self._at_once // of)
            if free := [name for name in machines if self._busy[name] < most]:
                del self._left[place]
                return group, min(free, key=lambda name: self._busy[name])
        return None


def _machines(row: Planned) -> tuple[list[str], int]:
    """Return where a cell may run, and over how many machines the turns are shared."""
    runs_on = row.cell.job.runtime["site"]["runs_on"]
    if isinstance(runs_on, str):
        return [_HERE], 1
    if row.status == "running" and (host := row.run.lives_on()):
        return [host], len(runs_on)
    return [name for name in runs_on if name not in row.unfit] or [*runs_on], len(runs_on)
