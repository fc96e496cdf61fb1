"""Which module makes the tables of cells: that of their lane, or the plain one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from thunder.jobs import kinds
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.results.tables import plain


class Maker(Protocol):
    """What a module that makes tables has."""

    def build(self, matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> dict[str, Any]:
        """Return the tables as one document of plain data.

        Its `unreadable` says which runs cannot be believed, and why: rows without numbers.
        """

    def write(self, document: Mapping[str, Any], folder: Path) -> list[Path]:
        """Write every file that follows from a document."""

    def stale(self, document: Mapping[str, Any], folder: Path) -> list[Path]:
        """Return the files on disk that do not follow from it any more."""

    def render_brief(self, document: Mapping[str, Any]) -> str:
        """Return what a person looks for first, for a terminal."""


def of(cells: Sequence[Cell]) -> Maker:
    """Return who makes the tables of cells; those of several kinds have the plain table."""
    named = {kinds.KINDS[cell.job.kind].tables for cell in cells}
    only = named.pop() if len(named) == 1 else None
    maker: Maker = kinds.loaded(only) if only else plain
    return maker
