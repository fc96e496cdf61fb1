"""The one table of a matrix of any kind: built from its runs, rendered in files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.results.tables import summary
from thunder.results.tables.render import render_brief as render_brief
from thunder.results.tables.render import stale as stale
from thunder.results.tables.render import write as write


def build(matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> dict[str, Any]:
    """Return the table as data; an ad-hoc sweep shows all that its runs have."""
    return summary.build(summary.with_table(matrix, cells, outputs), cells, outputs)


__all__ = ["build", "render_brief", "stale", "write"]
