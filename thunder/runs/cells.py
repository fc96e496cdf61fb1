"""How far every cell of a request is: the run that answers it, its status and its step."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thunder.ground.errors import Faults, ThunderError
from thunder.jobs.matrix import Cell
from thunder.runs import store


@dataclass(frozen=True)
class Planned:
    """A cell, the run that answers it, and how far that run is."""

    cell: Cell
    run: store.Run
    status: str
    step: int | None

    @property
    def is_reached(self) -> bool:
        """Whether what the cell asks for is there already."""
        goal = self.cell.job.goal
        if self.status in ("running", "lost") or goal is None or self.step is None:
            return self.status == "done"
        return self.step >= goal


def plan(cells: Sequence[Cell], outputs: Path, *, force: bool = False) -> list[Planned]:
    """Say for every cell how far it is; reads only the folders that exist."""
    existing = {
        kind: {path.name for path in (outputs / kind).iterdir()}
        if (outputs / kind).is_dir()
        else set()
        for kind in {cell.job.kind for cell in cells}
    }
    rows, faults = [], []
    for cell in cells:
        try:
            rows.append(_planned(cell, outputs, existing[cell.job.kind]))
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


def _planned(cell: Cell, outputs: Path, existing: set[str]) -> Planned:
    job = cell.job
    if job.id not in existing:
        return Planned(cell, store.Run(outputs / job.kind / job.id), "planned", None)
    run = store.find(outputs, job.kind, job.id)
    if not run.exists():
        return Planned(cell, run, "planned", None)
    record = run.record()
    run.check_drift(job.document)
    return Planned(cell, run, run.status(record), record["step"])
