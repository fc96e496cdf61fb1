"""The comparisons that a matrix names, as its tables make them; other kinds have none."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.jobs.matrix import Cell, Matrix
from thunder.lanes.asr.results import bundle
from thunder.lanes.asr.results.bundle import effects
from thunder.results.tables import summary

_SCRIPTS = ("nko", "latin")
Comparisons = dict[str, list[dict[str, Any]]]


def none() -> Comparisons:
    """Return no comparisons."""
    return {"made": [], "missing": []}


def of_matrix(matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> Comparisons:
    """Return the comparisons of a matrix: those `made`, and those `missing`, with reasons.

    Raises:
        ThunderError: what the tables refuse: files that disagree, inputs that do not match.
    """
    found = none()
    if not bundle.is_bundle(cells):
        if "table" in matrix.spec:
            summary.build(matrix, cells, outputs)
        return found
    document = bundle.build(matrix, cells, outputs)
    for table in document["tables"]:
        keys = {column["key"] for column in table["columns"]}
        if "difference" not in keys:
            continue
        for row in table["rows"]:
            if row["kind"] == "run":
                found["made"].append(_comparison(matrix, table, row, document["bridge"]))
            elif row["kind"] == "missing" and row["values"].get("condition", "") is not None:
                label = f"{_point(table, row)} ({table['name']})"
                found["missing"].append({"label": label, "reason": row["reason"]})
    return found


def _comparison(
    matrix: Matrix, table: Mapping[str, Any], row: Mapping[str, Any], bridge: str | None
) -> dict[str, Any]:
    values, point = row["values"], _point(table, row)
    if "condition" in values:
        runs = [values["run"]]
        subset = "" if values["subset"] == "all" else f", {values['subset']}"
        sides = [
            f"{point} with {values['condition']}{subset}",
            f"the same with {values['against']}",
        ]
    elif "reference_run" in values:
        runs = [values["run"], values["reference_run"]]
        compare = matrix.spec["compare"].items()
        same = [f"{k}={v}" for k, v in compare if effects.axis_name(k) == table["name"]]
        sides = [f"{point} ({runs[0]})", f"{' '.join(same)} ({runs[1]})"]
    else:
        other = matrix.spec["compare"]["script"]
        scripts = [*(name for name in _SCRIPTS if name != other), other]
        runs = [values[f"run_{name}"] for name in scripts]
        said = {
            "nko": f"N'Ko {point}",
            "latin": f"Latin {point} written in N'Ko by bridge {bridge}",
        }
        sides = [f"{said[name]} ({run})" for name, run in zip(scripts, runs, strict=True)]
    low, high = values["interval"]
    return {
        "table": table["name"],
        "label": sides[0],
        "reference": sides[1],
        "runs": runs,
        "rows": values["rows"],
        "difference": values["difference"],
        "low": low,
        "high": high,
        "p_value": values["p_value"],
        "p_value_holm": values["p_value_holm"],
        "bridge_cer": values.get("bridge_error"),
    }


def _point(table: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    keys = [column["key"] for column in table["columns"] if column["kind"] == "label"]
    return " ".join(f"{key}={row['values'][key]}" for key in keys if row["values"][key] is not None)
