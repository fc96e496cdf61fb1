"""metrics.jsonl: the numbers of a run at each of its steps or epochs, one row after the other."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from thunder.ground import files, run_files, schema

Row = Mapping[str, Any]


def add(run: Path, row: Row) -> None:
    """Add a row of numbers at one step."""
    _check(run, row)
    files.append_jsonl(run / run_files.ROWS, row)


def write(run: Path, rows: Iterable[Row]) -> None:
    """Write all rows anew."""
    every = list(rows)
    for row in every:
        _check(run, row)
    files.write_jsonl(run / run_files.ROWS, every)


def rows(run: Path) -> list[dict[str, Any]]:
    """Return the rows so far; one that a crash tore is left out."""
    return list(files.read_jsonl(run / run_files.ROWS))


def at_step(run: Path, step: int, name: str) -> float | None:
    """Return a number of a step by its name, None where it was not measured."""
    values = (row[name] for row in rows(run) if row["step"] == step and name in row)
    return next(values, None)


def cut(run: Path, step: int) -> None:
    """Drop what lies beyond a step that a run goes on from."""
    path = run / run_files.ROWS
    if not path.exists():
        return
    kept = [row for row in rows(run) if row["step"] <= step]
    if files.render_jsonl(kept).encode() != path.read_bytes():
        files.write_jsonl(path, kept)


def sync(run: Path) -> None:
    """Have the rows on disk before anything that stands for them."""
    path = run / run_files.ROWS
    if path.exists():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())


def _check(run: Path, row: Row) -> None:
    schema.check("metrics_row", row, str(run / run_files.ROWS), cause="crash")
