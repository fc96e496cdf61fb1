"""Why a cell is a new run: the keys that differ from the nearest one, and what set them."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder import config as configs
from thunder import matrix as matrices
from thunder import origin, overrides, store
from thunder.errors import ThunderError
from thunder.matrix import Cell


@dataclass(frozen=True)
class Reason:
    """What stands between a cell and a run.

    Args:
        nearest: the run of the same kind that differs in the fewest keys, None when there is none.
        keys: dotted key, value of that run, value of the cell, the place that set it.
    """

    cell: Cell
    run: store.Run
    exists: bool
    nearest: store.Run | None
    keys: Sequence[tuple[str, Any, Any, str]]


def why(
    cells: Sequence[Cell],
    matrix: matrices.Matrix | None,
    words: overrides.Words,
    places: configs.Sources,
    outputs: Path,
) -> list[Reason]:
    """Return for each cell the nearest run there is, and what makes the cell another one."""
    known = list(_readable(outputs))
    return [_reason(cell, matrix, words, places, outputs, known) for cell in cells]


def _readable(outputs: Path) -> Iterator[tuple[store.Run, dict[str, Any]]]:
    for run in store.all_runs(outputs):
        # A run that drifted is `verify`'s news; it explains no cell.
        with contextlib.suppress(ThunderError):
            yield run, run.document()


def _reason(
    cell: Cell,
    matrix: matrices.Matrix | None,
    words: overrides.Words,
    places: configs.Sources,
    outputs: Path,
    known: Sequence[tuple[store.Run, dict[str, Any]]],
) -> Reason:
    run = store.find(outputs, cell.job.kind, cell.job.id)
    if run.exists():
        return Reason(cell, run, True, run, [])
    wanted = cell.job.document
    rows = [
        (store.differences(doc, wanted), other)
        for other, doc in known
        if doc["kind"] == cell.job.kind
    ]
    if not rows:
        return Reason(cell, run, False, None, [])
    changes, nearest = min(rows, key=lambda row: (len(row[0]), row[1].folder.name))
    origins = matrices.origins_of(cell, matrix, words, places)
    keys = [
        (key, old, new, origin.find(origins, tuple(key.split("."))) or "code: the kind's revision")
        for key, old, new in changes
    ]
    return Reason(cell, run, False, nearest, keys)
