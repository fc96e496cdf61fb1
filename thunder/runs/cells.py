"""How far every cell of a request is: the run that answers it, its status and its step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thunder.ground import steps
from thunder.ground.errors import ThunderError
from thunder.jobs.matrix import Cell
from thunder.runs import reading, store
from thunder.runs.run import Run, Status


@dataclass(frozen=True)
class Planned:
    """A cell, the run that answers it, and how far that run is.

    Args:
        step: the last verified one.
        saved: the step of a checkpoint after it, which nobody has verified.
        fault: why the run is `unreadable`.
        unfit: hosts that have not the room for it, and what they lack.
        machine: that is free for it now, of those that it may run on.
    """

    cell: Cell
    run: Run
    status: Status
    step: int | None
    saved: int | None = None
    fault: str | None = None
    unfit: Mapping[str, str] = field(default_factory=dict)
    machine: str | None = None

    @property
    def begins_at(self) -> int:
        """The step that the next attempt goes on from."""
        return self.saved or self.step or 0

    @property
    def way(self) -> str:
        """The steps from there to what the cell asks for, in words; none of a kind without."""
        job = self.cell.job
        if job.goal is None:
            return ""
        return steps.way(self.begins_at, job.goal, job.total, job.runtime["window"])

    @property
    def is_reached(self) -> bool:
        """Whether what the cell asks for is there already."""
        return reading.is_reached(self.status, self.step, self.cell.job.goal)


def how_far(cells: Sequence[Cell], outputs: Path, *, force: bool = False) -> list[Planned]:
    """Say for every cell how far it is; reads only the folders that exist."""
    kinds = {kind: outputs / kind for kind in {cell.job.kind for cell in cells}}
    existing = {
        kind: {path.name[:12] for path in folder.iterdir()} if folder.is_dir() else set()
        for kind, folder in kinds.items()
    }
    rows = [
        _planned(cell, outputs)
        if cell.job.id in existing[cell.job.kind]
        else Planned(cell, Run(kinds[cell.job.kind] / cell.job.id), "planned", None)
        for cell in cells
    ]
    return _beside(rows, outputs) if force else rows


def _beside(rows: list[Planned], outputs: Path) -> list[Planned]:
    """Move the jobs that have a reached cell to new runs, with all their cells."""
    reached = {row.run.folder for row in rows if row.is_reached}
    return [
        Planned(row.cell, store.beside(outputs, row.run), "planned", None)
        if row.run.folder in reached
        else row
        for row in rows
    ]


def _planned(cell: Cell, outputs: Path) -> Planned:
    job = cell.job
    run = store.find(outputs, job.kind, job.id)
    progress = reading.of(run, job.goal)
    if progress.record:
        try:
            run.check_drift(job.document)
        except ThunderError as drift:
            progress = reading.unreadable(run, job.goal, str(drift))
    return as_read(cell, progress)


def as_read(cell: Cell, read: reading.Reading) -> Planned:
    """Return a cell with the reading of its run."""
    return Planned(cell, read.run, read.status, read.step, read.record.get("saved"), read.fault)
