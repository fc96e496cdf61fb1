"""The table of a matrix: mean ± sd over one axis, one row per point of the other axes."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thunder import files, matched, store
from thunder.errors import Faults, ThunderError
from thunder.matrix import Cell, Matrix
from thunder.schema import nearest

DIGITS = 4
_PLAIN_FROM = 1000  # above this a number has no decimals, and no exponent
MISSING = "–"


@dataclass(frozen=True)
class Reading:
    """What one cell contributes: its run, and the numbers that the run wrote for its step."""

    cell: Cell
    run: str
    values: Mapping[str, float | None]
    reason: str | None  # why there are no values


@dataclass(frozen=True)
class Row:
    """One line of the table: a point of the axes that are shown, and the cells behind it."""

    point: Mapping[str, Any]
    readings: Sequence[Reading]


def build(matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> dict[str, Any]:
    """Return the table of a matrix as plain data, the one source of every rendering.

    Raises:
        ThunderError: the matrix has no `table:`, an artifact is not what its manifest says, or
            runs of different snapshots would be compared.
    """
    if "table" not in matrix.spec:
        raise ThunderError(
            f"matrix {matrix.name!r} has no table: block; add table: {{metrics: [valid_loss]}}"
        )
    settings = matrix.spec["table"]
    readings = [_reading(cell, outputs, settings["metrics"]) for cell in cells]
    present = [reading for reading in readings if reading.reason is None]
    _refuse_unknown_metrics(settings["metrics"], present, outputs)
    _refuse_mixed_inputs(matrix, present, outputs)
    matched.check(
        matrix.name,
        matrix.spec,
        [(r.cell.label, _run(r.cell, outputs).document()) for r in present],
    )
    over = settings.get("over")
    return {
        "name": matrix.name,
        "over": over,
        "metrics": settings["metrics"],
        "rows": [_summary(row, settings["metrics"]) for row in _rows(readings, over)],
    }


def with_table(matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> Matrix:
    """Return an ad-hoc sweep with the table that shows all its runs have; a matrix as it is."""
    if "table" in matrix.spec or not matrix.name.startswith("sweep_"):
        return matrix
    runs = [_run(cell, outputs) for cell in cells]
    found = {name for run in runs if run.exists() for name in run.metrics()}
    metrics = sorted(found - {*matrix.axes})
    if not metrics:
        raise ThunderError(f"{matrix.name}: no run has numbers yet; run it first")
    over = {"over": "seed"} if "seed" in matrix.axes else {}
    return replace(matrix, spec={**matrix.spec, "table": {**over, "metrics": metrics}})


def write(table: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write a table as JSON, Markdown and CSV; the same runs give the same bytes."""
    texts = renderings(table)
    for name, text in texts.items():
        files.write_text(folder / name, text)
    return [folder / name for name in texts]


def stale(table: Mapping[str, Any], folder: Path) -> list[Path]:
    """Return the files on disk that do not follow from the runs any more."""
    return [
        folder / name
        for name, text in renderings(table).items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def renderings(table: Mapping[str, Any]) -> dict[str, str]:
    """Return every file of a table by name."""
    name = table["name"]
    return {
        f"{name}.json": files.render_json(table),
        f"{name}.md": render_markdown(table),
        f"{name}.csv": render_csv(table),
    }


def render_markdown(table: Mapping[str, Any]) -> str:
    """Return the table for people: rounded, missing runs shown, run ids at the end of each row."""
    axes = _axes(table)
    head = [*axes, "runs", *table["metrics"], "run ids"]
    lines = [f"# {table['name']}", ""]
    if any(row["stand_in"] for row in table["rows"]):
        lines += [
            "† stand-in model or data: these numbers show that the machinery works, no more.",
            "",
        ]
    lines += [_line(head), _line(["---"] * len(head))]
    for row in table["rows"]:
        mark = " †" if row["stand_in"] else ""
        cells = [_cell_text(row["point"].get(axis, MISSING)) for axis in axes]
        cells.append(f"{row['present']}/{row['wanted']}{mark}")
        cells += [_mean_text(row["values"][metric], row["present"]) for metric in table["metrics"]]
        lines.append(_line([*cells, " ".join(row["runs"]) or MISSING]))
    missing = [f"- {reason}" for row in table["rows"] for reason in row["missing"]]
    if missing:
        lines += ["", "Missing:", "", *missing]
    return "\n".join(lines) + "\n"


def render_csv(table: Mapping[str, Any]) -> str:
    """Return the table for programs: full precision, one mean, sd and count per metric."""
    axes, stream = _axes(table), io.StringIO()
    head = [*axes, "present", "wanted", "stand_in"]
    for metric in table["metrics"]:
        head += [f"{metric}_mean", f"{metric}_sd", f"{metric}_n"]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*head, "runs"])
    for row in table["rows"]:
        cells = [row["point"].get(axis, "") for axis in axes]
        cells += [row["present"], row["wanted"], row["stand_in"]]
        for metric in table["metrics"]:
            value = row["values"][metric]
            cells += ["" if value[key] is None else value[key] for key in ("mean", "sd", "n")]
        writer.writerow([*cells, " ".join(row["runs"])])
    return stream.getvalue()


def _reading(cell: Cell, outputs: Path, metrics: Sequence[str]) -> Reading:
    run = _run(cell, outputs)
    if not run.exists():
        return Reading(cell, run.folder.name, {}, "no run yet")
    record = run.record()
    goal, step, status = cell.job.goal, record["step"], run.status(record)
    if goal is None and status != "done":
        return Reading(cell, run.folder.name, {}, f"the run is {status}")
    if goal is not None and (step is None or step < goal):
        return Reading(cell, run.folder.name, {}, f"the run is {status} at step {step} of {goal}")
    found = _numbers(run, status, step, goal)
    values = {metric: found.get(metric) for metric in metrics}
    if all(value is None for value in values.values()):
        return Reading(
            cell, run.folder.name, {}, f"the run is at step {step} and has nothing for {goal}"
        )
    return Reading(cell, run.folder.name, values, None)


def _numbers(
    run: store.Run, status: str, step: int | None, goal: int | None
) -> dict[str, float | None]:
    """Read what the run wrote for a step, proven by its manifest."""
    if faults := store.verify_numbers(run):
        raise Faults(
            f"{run.folder}: not what its manifest says (restore it, or move the folder away):",
            faults,
            "verification",
        )
    # metrics.json does not say its step: it counts only when the record that names it came after.
    if goal is None or (step == goal and status in ("done", "paused")):
        return run.metrics()
    return run.at_step(goal)


def _run(cell: Cell, outputs: Path) -> store.Run:
    return store.find(outputs, cell.job.kind, cell.job.id)


def _refuse_unknown_metrics(
    metrics: Sequence[str], present: Sequence[Reading], outputs: Path
) -> None:
    known = {name for r in present for name in _run(r.cell, outputs).metrics()}
    unknown = [metric for metric in metrics if present and metric not in known]
    if unknown:
        have = sorted(known)
        raise ThunderError(
            f"no run has the metric {unknown[0]!r}{nearest(unknown[0], have)}; "
            f"metrics: {', '.join(have)}"
        )


def _refuse_mixed_inputs(matrix: Matrix, present: Sequence[Reading], outputs: Path) -> None:
    """Refuse runs that read different bytes under one name, unless an axis inside it says so."""
    seen: dict[tuple[Any, ...], tuple[str, str]] = {}
    for reading in present:
        record, config = _run(reading.cell, outputs).record(), reading.cell.job.config
        for name, found in record["inputs"].items():
            inside = {k: v for k, v in reading.cell.coordinates.items() if k.startswith(f"{name}.")}
            key = (name, str(config.get(name, {}).get("name")), *sorted(inside.items()))
            first, run = seen.setdefault(key, (found, reading.run))
            if first != found:
                raise ThunderError(
                    f"matrix {matrix.name!r}: runs {run} and {reading.run} read different {name} "
                    f"(sha256 {first[:12]}… and {found[:12]}…); they cannot be compared",
                    "verification",
                )


def _rows(readings: Sequence[Reading], over: str | None) -> list[Row]:
    grouped: dict[tuple[tuple[str, Any], ...], list[Reading]] = {}
    for reading in readings:
        point = tuple((k, v) for k, v in reading.cell.coordinates.items() if k != over)
        grouped.setdefault(point, []).append(reading)
    return [Row(dict(point), group) for point, group in grouped.items()]


def _summary(row: Row, metrics: Sequence[str]) -> dict[str, Any]:
    present = [reading for reading in row.readings if reading.reason is None]
    return {
        "point": dict(row.point),
        "wanted": len(row.readings),
        "present": len(present),
        "stand_in": any(reading.cell.job.is_stand_in for reading in row.readings),
        "values": {metric: _spread([r.values[metric] for r in present]) for metric in metrics},
        "runs": [reading.run for reading in present],
        "missing": [f"{r.run} ({r.cell.label}): {r.reason}" for r in row.readings if r.reason],
    }


def _spread(values: Sequence[float | None]) -> dict[str, Any]:
    found = [value for value in values if value is not None]
    return {
        "n": len(found),
        "mean": statistics.fmean(found) if found else None,
        "sd": statistics.stdev(found) if len(found) > 1 else None,
    }


def _axes(table: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(axis for row in table["rows"] for axis in row["point"]))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell_text(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _mean_text(value: Mapping[str, Any], present: int) -> str:
    if value["mean"] is None:
        return MISSING
    mean = _number_text(value["mean"], DIGITS)
    spread = "" if value["sd"] is None else f" ± {_number_text(value['sd'], 2)}"
    # A run that did not measure this metric may not pass for one that did.
    return f"{mean}{spread}" + (f" (n={value['n']})" if value["n"] < present else "")


def _number_text(value: float, digits: int) -> str:
    return f"{value:,.0f}" if abs(value) >= _PLAIN_FROM else f"{value:.{digits}g}"
