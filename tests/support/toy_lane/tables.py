"""One line per cell, in a form of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.ground import files
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.runs import store


def build(matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> dict[str, Any]:
    counted = {}
    for cell in cells:
        run = store.find(outputs, cell.job.kind, cell.job.id)
        counted[cell.label] = run.at_step(cell.job.goal or 0).get("counted")
    return {"name": matrix.name, "counted": counted, "unreadable": []}


def write(document: Mapping[str, Any], folder: Path) -> list[Path]:
    path = folder / f"{document['name']}.md"
    files.write_text(path, render_brief(document))
    return [path]


def stale(document: Mapping[str, Any], folder: Path) -> list[Path]:
    path = folder / f"{document['name']}.md"
    return [] if path.is_file() and path.read_text() == render_brief(document) else [path]


def render_brief(document: Mapping[str, Any]) -> str:
    return "".join(f"{label}: {value:g}\n" for label, value in document["counted"].items())
