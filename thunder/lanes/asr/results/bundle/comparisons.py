"""Pairs of cells that differ in one axis, and what they differ by, row by row of the test split."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thunder.ground import digest
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.results.bundle import measures
from thunder.lanes.asr.results.bundle.evidence import Dump, Indices
from thunder.lanes.asr.results.bundle.gather import Arm

WER = "wer_"  # begins the keys of a comparison in words; those in characters have none


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


def paired(first: Dump, second: Dump) -> dict[str, Any]:
    """Return first − second over the rows that both have, in CER and (`wer_`) in WER."""
    mine, others = common(first, second)
    if not len(mine):
        raise ThunderError("two dumps have no row in common; they cannot be compared")
    clusters = first.clusters(mine)
    parts = ((first, mine), (second, others))
    units = [
        measures.grouped(measures.part(dump.counts[measures.MAIN], rows), clusters)
        for dump, rows in parts
    ]
    of_words = measures.paired(*map(measures.of_words, units))
    return {
        "rows": len(mine),
        "units": len(units[0].edits),
        **measures.paired(*units),
        **{f"{WER}{key}": value for key, value in of_words.items()},
    }


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
