"""What the runs of a kind support, as its lane knows it; a lane that says nothing has defaults."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thunder.jobs import kinds
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.results.promotion.candidates import Candidate
from thunder.results.promotion.comparison import Comparisons
from thunder.results.tables import summary, unreadable

Numbers = Mapping[str, float | None]
Interval = Sequence[float]  # [low, high]


def _nothing(_: Candidate) -> tuple[()]:
    return ()


def _as_they_are(_: Candidate, numbers: Numbers) -> tuple[Numbers, Mapping[str, Interval]]:
    return numbers, {}


def _checked(matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> Comparisons:
    """Compare nothing, but refuse what the table of the matrix refuses."""
    if "table" in matrix.spec:
        unreadable.refuse_any(summary.build(matrix, cells, outputs))
    return Comparisons()


@dataclass(frozen=True)
class Support:
    """What a lane says of a run that is done, for promotions.

    Args:
        limits: what must not be read into the run, a sentence each.
        warnings: what the run warns of itself.
        definitions: the words that it uses in a sense of its own, each with its meaning.
        numbers: the numbers of the run as they are claimed, and the 95 % intervals that it has.
        comparisons: those that a matrix names; a ThunderError refuses the promotion.
    """

    limits: Callable[[Candidate], Iterable[str]] = _nothing
    warnings: Callable[[Candidate], Iterable[str]] = _nothing
    definitions: Callable[[Candidate], Iterable[tuple[str, str]]] = _nothing
    numbers: Callable[[Candidate, Numbers], tuple[Numbers, Mapping[str, Interval]]] = _as_they_are
    comparisons: Callable[[Matrix, Sequence[Cell], Path], Comparisons] = _checked


def of_kind(kind: str) -> Support:
    """Return what the lane of a kind says."""
    named = kinds.KINDS[kind].claims
    support = kinds.loaded(named) if named else Support()
    assert isinstance(support, Support)
    return support


def of_cells(cells: Sequence[Cell]) -> Support:
    """Return what the lane of cells says; several kinds have nothing to compare."""
    kinds_of_cells = {cell.job.kind for cell in cells}
    return of_kind(kinds_of_cells.pop()) if len(kinds_of_cells) == 1 else Support()
