"""The runs that a promotion would rest on: those of its cells, and those that they need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.runs import reading, store
from thunder.runs.run import Run


@dataclass(frozen=True)
class Candidate:
    """A run that is looked at, and where it stands.

    Args:
        goal: the step that is asked of it; None: the whole job.
        fault: why record or document cannot be read.
        shortfall: what it lacks to be a result; None when it is one, or nobody can say.
        needed_by: names of the runs that were made from it; empty for a run of its own.
    """

    run: Run
    coordinates: Mapping[str, Any]
    goal: int | None
    is_required: bool
    record: Mapping[str, Any] | None
    document: Mapping[str, Any]
    fault: str | None
    shortfall: str | None
    needed_by: Sequence[str] = ()

    @property
    def name(self) -> str:
        """The run as a person finds it."""
        return self.run.folder.name

    @property
    def label(self) -> str:
        """The run with its coordinates."""
        point = " ".join(f"{key}={value}" for key, value in self.coordinates.items())
        return f"{self.name} ({point})" if point else self.name

    @property
    def is_present(self) -> bool:
        """Whether it is a result."""
        return self.record is not None and self.fault is None and self.shortfall is None


def of_run(run: Run) -> list[Candidate]:
    """Return a run, and what it needs and is here."""
    candidate = _look(run, {}, None, is_required=True)
    if candidate.record and (goal := candidate.record["total"]) is not None:
        candidate = _look(run, {}, goal, is_required=True)
    return [candidate, *_needed([candidate], run.folder.parent.parent)]


def of_cells(matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> list[Candidate]:
    """Return the runs of cells, done or not, and what they need and is here."""
    candidates = [
        _look(
            store.find(outputs, cell.job.kind, cell.job.id),
            cell.coordinates,
            cell.job.goal,
            is_required=cell.is_required(matrix),
        )
        for cell in cells
    ]
    return [*candidates, *_needed(candidates, outputs)]


def needs_of(candidate: Candidate) -> dict[str, str]:
    """Return the ids of the runs that a run was made from, by kind."""
    return dict(candidate.document.get("needs", {}))


def _needed(candidates: Sequence[Candidate], outputs: Path) -> list[Candidate]:
    wanted: dict[tuple[str, str], list[str]] = {}
    for candidate in candidates:
        if candidate.record is not None:
            for kind, id in needs_of(candidate).items():
                read = _folder_read(candidate.record, kind) or id
                wanted.setdefault((kind, read), []).append(candidate.name)
    runs = {need: Run(outputs / need[0] / need[1]) for need in wanted}
    return [
        _look(run, {}, None, is_required=True, needed_by=wanted[need])
        for need, run in runs.items()
        if run.exists()
    ]


def _folder_read(record: Mapping[str, Any], kind: str) -> str | None:
    """Return which run of a kind was read: a second one may have been made beside it since."""
    path = record["attempts"][-1]["runtime"]["paths"].get(kind)
    return Path(path).name if path else None


def _look(
    run: Run, coordinates: Mapping[str, Any], goal: int | None, *, is_required: bool,
    needed_by: Sequence[str] = (),
) -> Candidate:  # fmt: skip
    standing = reading.of(run, goal)
    document: dict[str, Any] = {}
    fault = standing.fault
    if standing.record:
        try:
            document = run.document()
        except ThunderError as error:
            fault = str(error)
    record = standing.record if standing.record and fault is None else None
    shortfall = None if fault or standing.is_reached else standing.in_words
    return Candidate(
        run, coordinates, goal, is_required, record, document, fault, shortfall, needed_by
    )
