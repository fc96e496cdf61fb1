"""What comes first, planned and run: jobs that cells need, and matrices that a matrix requires."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from thunder.config import overrides, settable
from thunder.config.sources import Sources
from thunder.ground import wording
from thunder.ground.errors import ThunderError
from thunder.jobs import matrix as matrices
from thunder.jobs import matrix_file
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.runner import loop
from thunder.runner.execute import Outcome, Screen
from thunder.runs.cells import Planned, how_far

Left = Callable[[Sequence[Cell]], list[Cell]]


@dataclass(frozen=True)
class Stage:
    """Cells that are run before others.

    Args:
        matrix: the matrix that they are, None for jobs that cells need.
    """

    cells: list[Cell]
    matrix: Matrix | None

    @property
    def is_gate(self) -> bool:
        """Whether nothing further starts unless all of it is reached."""
        return self.matrix is not None


Earlier = list[tuple[Stage, list[Planned]]]


def plan(
    cells: Sequence[Cell],
    matrix: Matrix | None,
    words: overrides.Words,
    places: Sources,
    outputs: Path,
) -> Earlier:
    """Return what comes before cells that are not reached, and how far it is."""

    def left(cells: Sequence[Cell]) -> list[Cell]:
        return [row.cell for row in how_far(cells, outputs) if not row.is_reached]

    stages = before(cells, matrix, words, places, left)
    return [(stage, how_far(stage.cells, outputs)) for stage in stages]


def run(earlier: Earlier, screen: Screen, *, at_once: int, retries: int) -> list[Outcome]:
    """Run what comes first, up to a required matrix that is not whole."""
    outcomes: list[Outcome] = []
    for stage, planned in earlier:
        # Nothing can start without it, so what another runner has of it is waited for.
        of_stage = loop.run(planned, screen, at_once=at_once, retries=retries, wait=True)
        outcomes += of_stage
        is_whole = all(row.ending == "reached" for row in of_stage)
        if any(row.ending == "stopped" for row in of_stage) or (stage.is_gate and not is_whole):
            break
    return outcomes


def lacking(earlier: Earlier, outcomes: Sequence[Outcome]) -> str | None:
    """Say which required matrix is not whole, None when all are."""
    reached = {row.planned.run.folder for row in outcomes if row.ending == "reached"}
    for stage, planned in earlier:
        missing = [row for row in planned if row.run.folder not in reached]
        if stage.matrix is not None and missing:
            left = wording.count(len(missing), "cell")
            return f"it requires {stage.matrix.name}, which lacks {left}"
    return None


def before(
    cells: Sequence[Cell],
    matrix: Matrix | None,
    words: overrides.Words,
    places: Sources,
    left: Left = list,
) -> list[Stage]:
    """Return what comes before cells of a matrix or a profile, in the order of running.

    Args:
        cells: those that are not reached yet; what is reached needs nothing any more.
        left: which cells of a required matrix are not reached yet.

    Raises:
        ThunderError: matrices require each other in a circle.
    """
    if not cells:
        return []
    return [*_required(matrix, words, places, left, ()), *_needed(cells)]


def _needed(cells: Sequence[Cell]) -> list[Stage]:
    by_id = {job.id: Cell({}, job) for cell in cells for job in cell.job.needs}
    return [Stage(list(by_id.values()), None)] if by_id else []


def _required(
    matrix: Matrix | None,
    words: overrides.Words,
    places: Sources,
    left: Left,
    above: tuple[str, ...],
) -> Iterator[Stage]:
    if matrix is None:
        return
    above = (*above, matrix.name)
    for name in matrix.spec.get("requires", []):
        if name in above:
            raise ThunderError(f"matrices require each other: {' → '.join((*above, name))}")
        required = matrix_file.load(name, places)
        cells = matrices.expand(required, _without_own(words, required), places)
        if rest := left(cells):
            yield from _required(required, words, places, left, above)
            yield from _needed(rest)
        yield Stage(cells, required)


def _without_own(words: overrides.Words, matrix: Matrix) -> overrides.Words:
    """Return the words of a command line that a required matrix does not settle itself."""
    points = [matrix.axes, matrix.spec.get("set", {}), *matrix.spec.get("include", [])]
    own = {settable.full_key(key) for point in points for key in point}
    return replace(
        words,
        choices={key: value for key, value in words.choices.items() if key not in own},
        values={key: value for key, value in words.values.items() if key not in own},
        sweeps={},
    )
