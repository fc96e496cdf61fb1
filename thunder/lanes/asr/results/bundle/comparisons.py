"""Pairs of cells that differ in one axis, and what they differ by, row by row of the test split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thunder.ground import digest
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.results.bundle import measures
from thunder.lanes.asr.results.bundle.evidence import Dump, Indices
from thunder.lanes.asr.results.bundle.gather import Arm

WER = "wer_"  # begins the keys of a comparison in words; those in characters have none


# A row of a table, and the dumps that are compared in it, by what their keys begin with.
Asked = tuple[dict[str, Any], Mapping[str, tuple[Dump, Dump]]]


@dataclass(frozen=True)
class Pair:
    """A cell and the one that it is compared with, equal in all other coordinates."""

    arm: Arm
    reference: Arm | None  # None: the matrix has no such cell

    @property
    def is_complete(self) -> bool:
        """Whether both cells have a run."""
        reference = self.reference
        return bool(self.arm.evidence and reference is not None and reference.evidence)

    @property
    def is_stand_in(self) -> bool:
        """Whether one of the cells is a stand-in."""
        return self.arm.is_stand_in or (self.reference is not None and self.reference.is_stand_in)

    def reason(self, axis: str, value: Any) -> str | None:
        """Say why there is nothing to compare."""
        if self.is_complete:
            return None
        if self.reference is None:
            return f"the matrix has no cell with {axis}={value} beside this one"
        arms = [arm for arm in (self.arm, self.reference) if arm.evidence is None]
        return "; ".join(f"{arm.cell.label}: {arm.reason}" for arm in arms)


def pairs(arms: Sequence[Arm], axis: str, value: Any) -> list[Pair]:
    """Return every cell whose axis has another value, with the cell that has this one."""
    references = [arm for arm in arms if _has(arm, axis, value)]
    return [
        Pair(arm, next((other for other in references if _equal_beside(arm, other, axis)), None))
        for arm in arms
        if axis in arm.cell.coordinates and not _has(arm, axis, value)
    ]


def made(asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """Return rows with what the two sides of each differ by, in CER and (`wer_`) in WER.

    Comparisons over as many units are resampled together, which takes a fraction of the time.
    """
    todo = [(row["values"], name, _units(*pair)) for row, pairs_ in asked
            for name, pair in pairs_.items()]  # fmt: skip
    for size in {units.size for _, _, units in todo}:
        alike = [one for one in todo if one[2].size == size]
        sides = [units.sides for _, _, units in alike]
        words = [(measures.of_words(one), measures.of_words(other)) for one, other in sides]
        found = iter(measures.paired_all([*sides, *words]))
        for prefix in ("", WER):
            for values, name, units in alike:
                values |= {"rows": units.rows, "units": units.size}
                values |= {f"{name}{prefix}{key}": value for key, value in next(found).items()}
    return [row for row, _ in asked]


@dataclass(frozen=True)
class _Units:
    """Two sides over the rows that both have, counted by unit."""

    rows: int
    sides: tuple[measures.Counts, measures.Counts]

    @property
    def size(self) -> int:
        return len(self.sides[0].edits)


def _units(first: Dump, second: Dump) -> _Units:
    mine, others = common(first, second)
    if not len(mine):
        raise ThunderError("two dumps have no row in common; they cannot be compared")
    clusters = first.clusters(mine)
    one = measures.grouped(measures.part(first.counts[measures.MAIN], mine), clusters)
    other = measures.grouped(measures.part(second.counts[measures.MAIN], others), clusters)
    return _Units(len(mine), (one, other))


def common(first: Dump, second: Dump) -> tuple[Indices, Indices]:
    """Return the places of the rows that two dumps share, by id."""
    rows = first.rows
    if first.references is not second.references:
        place = second.references.place
        ids = (first.references.ids[int(index)] for index in rows)
        rows = np.array([place.get(name, -1) for name in ids], dtype=np.int64)
    _, mine, others = np.intersect1d(rows, second.rows, assume_unique=False, return_indices=True)
    return mine.astype(np.int64), others.astype(np.int64)


def _has(arm: Arm, axis: str, value: Any) -> bool:
    coordinates = arm.cell.coordinates
    return axis in coordinates and digest.is_same(coordinates[axis], value)


def _equal_beside(arm: Arm, other: Arm, axis: str) -> bool:
    mine, theirs = (
        {key: value for key, value in each.cell.coordinates.items() if key != axis}
        for each in (arm, other)
    )
    return digest.is_same(mine, theirs)
