"""outputs/plans/: what a matrix stood for when it was last run, and what an edit changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thunder.ground import files, folders, names, schema
from thunder.ground.errors import ThunderError, reason_of
from thunder.ground.wording import some
from thunder.jobs.job import IDENTITY
from thunder.jobs.matrix_file import Matrix
from thunder.runs.cells import Planned

_SHOWN_FAULTS = 3


def folder_of(outputs: Path) -> Path:
    """Return where plans lie."""
    return outputs / folders.PLANS


def path_of(outputs: Path, name: str) -> Path:
    """Return where the plan of a matrix lies.

    Raises:
        ThunderError: the name is a path, which may lead out of the folder.
    """
    return folder_of(outputs) / f"{names.check(name, 'plan')}.json"


def kept_names(outputs: Path) -> list[str]:
    """Return the names of the plans that were kept."""
    paths = folder_of(outputs).glob("*.json")
    return sorted(path.stem for path in paths if path.is_file())


def document(
    matrix: Matrix, planned: Sequence[Planned], seconds: Sequence[float | None]
) -> dict[str, Any]:
    """Return a plan as it lies on disk: the run matrix, before anything is launched.

    Args:
        seconds: what each cell will take, None where no run is there to go by.
    """
    return {
        "name": matrix.name,
        "identity": IDENTITY,
        "matrix": matrix.spec,
        "cells": [
            {
                "cell": row.cell.coordinates,
                "kind": row.cell.job.kind,
                "id": row.cell.job.id,
                "target": row.cell.job.goal,
                "status": row.status,
                "seed": row.cell.job.config["seed"],
                "required": row.cell.is_required(matrix),
                "stand_in": row.cell.job.is_stand_in,
                "folder": str(row.run.folder),
                "command": row.cell.job.runtime["reproduce"],
                "needs": row.cell.job.config.get("needs", {}),
                "seconds_left": None if left is None else round(left, 1),
            }
            for row, left in zip(planned, seconds, strict=True)
        ],
    }


def write(outputs: Path, plan: dict[str, Any]) -> Path:
    """Check and write a plan."""
    path = path_of(outputs, plan["name"])
    schema.check("plan", plan, str(path), cause="crash")
    files.write_text(path, files.render_jsonl([plan]))
    return path


def read(outputs: Path, name: str) -> dict[str, Any] | None:
    """Read the last plan of a matrix, None when none of that name was kept.

    Raises:
        ThunderError: it cannot be read.
    """
    plan, fault = remembered(outputs, name)
    if fault is not None:
        raise ThunderError(f"{fault}; move it away to plan afresh")
    return plan


def remembered(outputs: Path, name: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return the last plan of a matrix, if there is one, and why it cannot be read."""
    # Looked up, not joined: a name is a word of the command line, and may be a path.
    if name not in kept_names(outputs):
        return None, None
    path = path_of(outputs, name)
    try:
        plan = files.read_json(path)
    except (OSError, ValueError) as error:
        return None, f"{path}: cannot be read: {reason_of(error)}"
    if broken := schema.faults("plan", plan):
        named = some([f"{fault.key}: {fault.message}" for fault in broken], _SHOWN_FAULTS)
        return None, f"{path}: no plan: {named}"
    return dict(plan), None


def changes(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the cells that an edit adds, keeps and orphans; orphans' runs stay readable."""
    before = {(cell["id"], cell["target"]): cell for cell in (old or {"cells": []})["cells"]}
    after = {(cell["id"], cell["target"]): cell for cell in new["cells"]}
    return {
        "added": [cell for key, cell in after.items() if key not in before],
        "kept": [cell for key, cell in after.items() if key in before],
        "orphaned": [cell for key, cell in before.items() if key not in after],
    }
