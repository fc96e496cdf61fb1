"""Why a cell is a new run: the keys that differ from the nearest one, and what set them."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.config import origin, overrides
from thunder.config.plain import leaves
from thunder.config.sources import Sources
from thunder.ground import digest
from thunder.ground.errors import ThunderError
from thunder.jobs.matrix import Cell, origins_of
from thunder.jobs.matrix_file import Matrix
from thunder.runs import store
from thunder.runs.run import Run, differences

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILLED_IN = {
    ".source.builder": "code or words of the recipe",
    ".source.digest": "content of the folder",
}


@dataclass(frozen=True)
class Reason:
    """What stands between a cell and a run.

    Args:
        nearest: the run of the same kind that differs in the fewest keys, of several one of the
            cell's profile, and the newest; None when there is none.
        keys: dotted key, value of that run, value of the cell, the place that set it.
    """

    cell: Cell
    run: Run
    exists: bool
    nearest: Run | None
    keys: Sequence[tuple[str, Any, Any, str]]


def why(
    cells: Sequence[Cell],
    matrix: Matrix | None,
    words: overrides.Words,
    places: Sources,
    outputs: Path,
) -> list[Reason]:
    """Return for each cell the nearest run there is, and what makes the cell another one."""
    known = [_Known(run, document, _flat(document)) for run, document in _readable(outputs)]
    return [_reason(cell, matrix, words, places, outputs, known) for cell in cells]


@dataclass(frozen=True)
class _Known:
    """A run there is, with the canonical bytes of every value, which are compared at once."""

    run: Run
    document: dict[str, Any]
    flat: dict[tuple[str, ...], bytes]

    def distance(self, other: dict[tuple[str, ...], bytes]) -> int:
        """Return in how many keys a document differs."""
        return len({key for key, _ in self.flat.items() ^ other.items()})


def _flat(document: dict[str, Any]) -> dict[tuple[str, ...], bytes]:
    return {path: digest.canonical(value) for path, value in leaves(document)}


def _readable(outputs: Path) -> Iterator[tuple[Run, dict[str, Any]]]:
    for run in store.all_runs(outputs):
        # A run that drifted is `verify`'s news; it explains no cell.
        with contextlib.suppress(ThunderError):
            yield run, run.document()


def _reason(
    cell: Cell,
    matrix: Matrix | None,
    words: overrides.Words,
    places: Sources,
    outputs: Path,
    known: Sequence[_Known],
) -> Reason:
    run = store.find(outputs, cell.job.kind, cell.job.id)
    if run.exists():
        return Reason(cell, run, True, run, [])
    same_kind = [one for one in known if one.document["kind"] == cell.job.kind]
    if not same_kind:
        return Reason(cell, run, False, None, [])
    flat = _flat(cell.job.document)
    nearest = _nearest(same_kind, flat, cell.job.runtime["profile"])
    changes = differences(nearest.document, cell.job.document)
    origins = origins_of(cell, matrix, words, places)
    keys = [(key, old, new, place_of(key, old, origins)) for key, old, new in changes]
    return Reason(cell, run, False, nearest.run, keys)


def _nearest(
    known: Sequence[_Known], flat: dict[tuple[str, ...], bytes], profile: str | None
) -> _Known:
    """Return the run that differs in the fewest keys; of several one of the profile, the newest."""
    distances = [one.distance(flat) for one in known]
    ties = [one for one, far in zip(known, distances, strict=True) if far == min(distances)]
    return max(ties, key=lambda one: _likeness(one.run, profile)) if len(ties) > 1 else ties[0]


def _likeness(run: Run, profile: str | None) -> tuple[bool, str]:
    try:
        record = run.record()
    except ThunderError:  # its config can be read, and explains as much
        return False, ""
    return record["profile"] == profile, record["attempts"][-1]["started"]


def place_of(key: str, old: Any, origins: origin.Origins) -> str:
    """Return what set a key; what is filled in follows from content and not from a line."""
    filled_in = next((meaning for end, meaning in _FILLED_IN.items() if key.endswith(end)), None)
    if filled_in and isinstance(old, str) and _DIGEST.fullmatch(old):
        return filled_in
    kept, _, needed = key.partition(".")
    if kept == "needs":
        return f"follows from what {needed or 'the run before it'} is made of"
    return origin.find(origins, key.split(".")) or "code: the kind's revision"
