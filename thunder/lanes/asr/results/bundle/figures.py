"""What the plots show, as data taken from the tables and the learning curves of the runs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from thunder.ground import digest
from thunder.lanes.asr.results.bundle import matrix_table, partitions
from thunder.lanes.asr.results.bundle.evidence import Evidence
from thunder.lanes.asr.results.bundle.gather import Gathered

CER, CURVES, PARTITIONS = "cer", "learning_curves", "partitions"
KINDS = ("png", "svg")  # of files
CURVE = ("valid_loss", "valid_cer")  # of metrics.jsonl, by epoch


def build(gathered: Gathered, tables: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return every figure: its name, its title, and one series of data per cell."""
    by_name = {table["name"]: table["rows"] for table in tables}
    matrix, parts = by_name[matrix_table.NAME], by_name[partitions.NAME]
    heads = _heads(gathered)
    return [
        _figure(CER, "Test CER by cell", [head | _cer(matrix, head) for head in heads]),
        _figure(
            CURVES,
            "Learning curves",
            [head | _curve(arm.evidence) for head, arm in zip(heads, gathered.arms, strict=True)],
        ),
        _figure(
            PARTITIONS,
            "Test CER by partition",
            [head | {"points": _points(parts, head)} for head in heads],
        ),
    ]


def digest_of(figure: Mapping[str, Any]) -> str:
    """Return the sha256 of everything that a figure shows."""
    return digest.of_value(figure)


def _figure(name: str, title: str, series: list[dict[str, Any]]) -> dict[str, Any]:
    is_stand_in = any(cell["stand_in"] for cell in series)
    return {"name": name, "title": title, "stand_in": is_stand_in, "series": series}


def _heads(gathered: Gathered) -> list[dict[str, Any]]:
    """Return what names each series: the coordinates in which the cells differ, and the run."""
    points = [arm.point for arm in gathered.arms]
    keys = dict.fromkeys(key for point in points for key in point)
    differing = [key for key in keys if len({str(point.get(key)) for point in points}) > 1]
    shown = differing or ["script", "mode"]
    return [
        {
            "label": " · ".join(_word(key, arm.point[key]) for key in shown if key in arm.point),
            "script": arm.script,
            "mode": arm.mode,
            "run": arm.evidence.name if arm.evidence else None,
            "reason": "the run is unreadable" if arm.unreadable else arm.reason,
            "stand_in": arm.is_stand_in,
        }
        for arm in gathered.arms
    ]


def _word(key: str, value: Any) -> str:
    return str(value) if key in ("script", "mode") else f"{key.rpartition('.')[2]} {value}"


def _cer(rows: Sequence[Mapping[str, Any]], head: Mapping[str, Any]) -> dict[str, Any]:
    for values in _of_run(rows, head["run"]):
        return {"cer": values["cer"], "interval": values["cer_interval"]}
    return {"cer": None, "interval": None}


def _curve(evidence: Evidence | None) -> dict[str, Any]:
    if evidence is None:
        return {"best_epoch": None, "points": []}
    points = [
        {"epoch": row["step"], **{key: row.get(key) for key in CURVE}}
        for row in evidence.curve
        if row.get(CURVE[0]) is not None
    ]
    return {"best_epoch": evidence.results["best_epoch"], "points": points}


def _points(rows: Sequence[Mapping[str, Any]], head: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "partition": values["partition"],
            "rows": values["rows"],
            "share": values["share"],
            "cer": values["cer"],
            "interval": values["cer_interval"],
        }
        for values in _of_run(rows, head["run"])
    ]


def _of_run(rows: Sequence[Mapping[str, Any]], run: str | None) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        if run is not None and row["kind"] == "run" and row["values"]["run"] == run:
            yield row["values"]
