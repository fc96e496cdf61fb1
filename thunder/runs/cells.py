"""How far every cell of a request is: the run that answers it, its status and its step."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thunder.ground.errors import Faults, ThunderError
from thunder.jobs.matrix import Cell
from thunder.runs import reading, store
from thunder.runs.run import Status


@dataclass(frozen=True)
class Planned:
    """A cell, the run that answers it, and how far that run is."""

    cell: Cell
    run: store.Run
    status: Status
    step: int | None

    @property
    def is_reached(self) -> bool:
        """Whether what the cell asks for is there already."""
        return reading.is_reached(self.status, self.step, self.cell.job.goal)


def plan(cells: Sequence[Cell], outputs: Path, *, force: bool = False) -> list[Planned]:
    """Say for every cell how far it is; reads only the folders that exist."""
    kinds = {kind: outputs / kind for kind in {cell.job.kind for cell in cells}}
    existing = {
        kind: {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        for kind, folder in kinds.items()
    }
    rows, faults = [], []
    for cell in cells:
        try:
            kind = cell.job.kind
            if cell.job.id in existing[kind]:
                rows.append(_planned(cell, outputs))
            else:
                rows.append(Planned(cell, store.Run(kinds[kind] / cell.job.id), "planned", None))
        except ThunderError as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        title = f"{len(faults)} runs are not what they should be:"
        raise Faults(title, [str(fault) for fault in faults], "verification")
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
        run.check_drift(job.document)
    return Planned(cell, run, progress.status, progress.step)
