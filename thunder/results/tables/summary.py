"""The table of a matrix: mean ± sd over one axis, one row per point of the other axes."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thunder.ground import digest
from thunder.ground.errors import Faults, ThunderError, message_of
from thunder.ground.wording import nearest
from thunder.jobs import comparable, inputs, mixed
from thunder.jobs.kinds import KINDS
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.results.tables import unreadable
from thunder.runs import reading, store
from thunder.runs.run import Run


@dataclass(frozen=True)
class Part:
    """What one cell contributes: its run, and the numbers that the run wrote for its step."""

    cell: Cell
    run: Run
    record: Mapping[str, Any]
    values: Mapping[str, float | None]
    reason: str | None  # why there are no values
    document: Mapping[str, Any] = field(default_factory=dict)
    is_unreadable: bool = False

    @property
    def name(self) -> str:
        """The id behind the numbers."""
        return self.run.folder.name

    @property
    def missing(self) -> str:
        """The cell with the reason why it has no values."""
        return f"{self.name} ({self.cell.label}): {self.reason}"


@dataclass(frozen=True)
class Row:
    """One line of the table: a point of the axes that are shown, and the cells behind it."""

    point: Mapping[str, Any]
    parts: Sequence[Part]


def build(matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> dict[str, Any]:
    """Return the table of a matrix as plain data, the one source of every rendering.

    Raises:
        ThunderError: the matrix has no `table:`, runs of different snapshots would be compared, or
            there are runs and none can be read.
    """
    if "metrics" not in matrix.spec.get("table", {}):
        raise ThunderError(
            f"matrix {matrix.name!r} names no metrics; add table: {{metrics: [{_foremost(cells)}]}}"
        )
    settings = matrix.spec["table"]
    metrics, over = settings["metrics"], over_of(matrix)
    parts = [_part(cell, outputs, metrics) for cell in cells]
    present = [part for part in parts if part.reason is None]
    lost = [_named(part) for part in parts if part.is_unreadable]
    if lost and not present:
        unreadable.refuse_all(matrix.name, lost)
    _refuse_unknown_metrics(metrics, [part.run for part in parts if part.record])
    _refuse_mixed_inputs(matrix, present)
    comparable.check(matrix.name, matrix.spec, [(one.cell.label, one.document) for one in present])
    return {
        "name": matrix.name,
        "question": matrix.question,
        "over": over,
        "metrics": metrics,
        "rows": [_summary(row, metrics) for row in _rows(parts, over)],
        "code": code_states([(part.name, part.record) for part in present]),
        "unreadable": lost,
    }


def _named(part: Part) -> str:
    return unreadable.named(part.run, part.cell.label, part.reason or "")


def _foremost(cells: Sequence[Cell]) -> str:
    """Return a metric that a table of these cells could show."""
    metrics = (name for cell in cells for name in KINDS[cell.job.kind].metrics)
    return next(metrics, "NAME")


def with_table(matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> Matrix:
    """Return an ad-hoc sweep with the table that shows all its runs have; a matrix as it is."""
    if not _is_sweep(matrix):
        return matrix
    runs = [_run(cell, outputs) for cell in cells]
    known = _measured([run for run in runs if run.exists()])
    metrics = sorted(known - {*matrix.axes})
    if not metrics:
        raise ThunderError(f"{matrix.name}: no run has numbers yet; run it first")
    return replace(matrix, spec={**matrix.spec, "table": {"metrics": metrics}})


def over_of(matrix: Matrix) -> str | None:
    """Return the axis that a table averages over; an ad-hoc sweep over seeds averages them."""
    settings = matrix.spec.get("table", {})
    if "over" in settings:
        return str(settings["over"])
    return "seed" if matrix.name.startswith("sweep_") and "seed" in matrix.axes else None


def _is_sweep(matrix: Matrix) -> bool:
    return matrix.name.startswith("sweep_") and "table" not in matrix.spec


def code_states(runs: Iterable[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return the states of the code that made the runs, each with its runs.

    Args:
        runs: name and record of each.
    """
    states: dict[tuple[str, bool], set[str]] = {}
    for name, record in runs:
        for attempt in record["attempts"]:
            code = attempt["provenance"]
            state = (code["commit"] or code["reason"] or "unknown", bool(code["dirty"]))
            states.setdefault(state, set()).add(name)
    return [
        {"commit": commit, "dirty": dirty, "runs": sorted(runs)}
        for (commit, dirty), runs in sorted(states.items())
    ]


def _part(cell: Cell, outputs: Path, metrics: Sequence[str]) -> Part:
    run, goal = _run(cell, outputs), cell.job.goal
    so_far = reading.of(run, goal)
    if so_far.fault is None and not so_far.has_result:
        return Part(cell, run, so_far.record, {}, so_far.in_words)
    try:
        if so_far.fault is not None:
            raise ThunderError(so_far.fault, "verification")
        numbers, document = _numbers(run, goal), run.document()
    except (ThunderError, OSError) as error:
        why = unreadable.reason(run, message_of(error))
        return Part(cell, run, {}, {}, why, is_unreadable=True)
    values = {metric: numbers.get(metric) for metric in metrics}
    nothing = f"the run is at step {so_far.step}; nothing for {goal}"
    reason = nothing if all(value is None for value in values.values()) else None
    return Part(cell, run, so_far.record, {} if reason else values, reason, document)


def _numbers(run: Run, goal: int | None) -> dict[str, float | None]:
    """Read what the run wrote for a step, proven by its manifest."""
    if faults := store.verify_numbers(run, has_steps=goal is not None):
        title = "not what its manifest says (restore it, or move the folder away):"
        raise Faults(f"{run.folder}: {title}", faults, "verification")
    return run.metrics() if goal is None else run.at_step(goal)


def _run(cell: Cell, outputs: Path) -> Run:
    return store.find(outputs, cell.job.kind, cell.job.id)


def _measured(runs: Iterable[Run]) -> set[str]:
    """Return the metrics that runs have; one whose numbers cannot be read has none."""
    known: set[str] = set()
    for run in runs:
        with suppress(ThunderError):
            known |= run.metrics().keys()
    return known


def _refuse_unknown_metrics(metrics: Sequence[str], begun: Iterable[Run]) -> None:
    known = _measured(begun)
    unknown = [metric for metric in metrics if known and metric not in known]
    if unknown:
        measured = sorted(known)
        raise ThunderError(
            f"no run has the metric {unknown[0]!r}{nearest(unknown[0], measured)}; "
            f"metrics: {', '.join(measured)}"
        )


def _refuse_mixed_inputs(matrix: Matrix, present: Sequence[Part]) -> None:
    """Refuse runs that read different bytes under one name, unless an axis in sight says so."""
    over = over_of(matrix)

    def meant(part: Part, name: str) -> str:
        shown = {k: v for k, v in part.cell.coordinates.items() if k != over}
        return digest.of_value([name, _meant(part, name, shown)])

    for pair in mixed.inputs([(one, one.record["inputs"]) for one in present], meant):
        raise ThunderError(
            f"matrix {matrix.name!r}: runs {pair.first.name} and {pair.other.name} read "
            f"different {pair.name} (sha256 {pair.short}); they cannot be compared",
            "verification",
        )


def _meant(part: Part, name: str, shown: Mapping[str, Any]) -> Any:
    """Return what names an input: runs that agree in it must have read the same bytes."""
    config = part.cell.job.config
    if "recipe" in config.get(name, {}).get("source", {}):
        # What a recipe builds may depend on the other inputs: a tokenizer learns from the corpus.
        sources = {k: v["source"] for k, v in inputs.sources_of(config).items()}
        return {"sources": sources, "row": _of_input(shown, "data")}
    return {"name": config.get(name, {}).get("name"), "row": _of_input(shown, name)}


def _of_input(shown: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in shown.items() if key.startswith(f"{name}.")}


def _refuse_mixed_rows(row: Row) -> None:
    """Refuse to average runs that read different bytes, whatever they call them."""
    read = [(one, one.record.get("inputs", {})) for one in row.parts]
    for pair in mixed.inputs(read):
        raise ThunderError(
            f"runs {pair.first.name} and {pair.other.name} would be averaged, but read "
            f"different {pair.name}; table.over must be an axis that changes no input, such as "
            "seed",
            "verification",
        )


def _rows(parts: Sequence[Part], over: str | None) -> list[Row]:
    grouped: dict[tuple[tuple[str, Any], ...], list[Part]] = {}
    for part in parts:
        point = tuple((k, v) for k, v in part.cell.coordinates.items() if k != over)
        grouped.setdefault(point, []).append(part)
    return [Row(dict(point), group) for point, group in grouped.items()]


def _summary(row: Row, metrics: Sequence[str]) -> dict[str, Any]:
    _refuse_mixed_rows(row)
    present = [part for part in row.parts if part.reason is None]
    return {
        "point": dict(row.point),
        "wanted": len(row.parts),
        "present": len(present),
        "stand_in": any(part.cell.job.is_stand_in for part in row.parts),
        "values": {
            metric: _spread([part.values[metric] for part in present]) for metric in metrics
        },
        "runs": [part.name for part in present],
        "missing": [part.missing for part in row.parts if part.reason],
    }


def _spread(values: Sequence[float | None]) -> dict[str, Any]:
    numbers = [value for value in values if value is not None]
    return {
        "n": len(numbers),
        "mean": statistics.fmean(numbers) if numbers else None,
        "sd": statistics.stdev(numbers) if len(numbers) > 1 else None,
    }
