"""The comparisons that the tables of a bundle made, each as a sentence and numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.jobs.matrix import Cell, Matrix
from thunder.lanes.asr.data.pairs import BILINGUAL
from thunder.lanes.asr.results.bundle import adaptation, document, effects
from thunder.lanes.asr.results.bundle.columns import LABEL
from thunder.results.promotion.comparison import Comparison, Comparisons, Measure, Missing

_Sides = tuple[list[str], str, str]  # runs; the two sides in words


def of_matrix(
    matrix: Matrix, cells: Sequence[Cell], outputs: Path, measure: Measure
) -> Comparisons:
    """Return the comparisons of T2, T3 and T11: those made, and those missing with a reason.

    Args:
        measure: what they are of, in words.

    Raises:
        ThunderError: what the tables refuse: files that disagree, inputs that do not match.
    """
    bundle = document.build(matrix, cells, outputs)
    made, missing = [], []
    for table in bundle["tables"]:
        if not effects.is_effect(table["name"]) and table["name"] != adaptation.NAME:
            continue
        for row in table["rows"]:
            if row["kind"] == "run":
                sides = _sides(matrix, bundle["bridge"], table, row)
                made.append(_comparison(measure, table, row, sides))
            elif row["kind"] == "missing" and not _is_absent(table, row):
                label = f"{_point(table, row)} ({table['name']})"
                missing.append(Missing(label, row["reason"]))
    return Comparisons(made, missing)


def _is_absent(table: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Say whether a row stands for a cell without an adaptation, which nothing is said of."""
    return table["name"] == adaptation.NAME and row["values"]["condition"] is None


def _comparison(
    measure: Measure, table: Mapping[str, Any], row: Mapping[str, Any], sides: _Sides
) -> Comparison:
    values, (runs, label, reference) = row["values"], sides
    low, high = values["interval"]
    return Comparison(
        measure,
        table["name"],
        label,
        reference,
        runs,
        values["rows"],
        values["difference"],
        low,
        high,
        values["p_value"],
        values["p_value_holm"],
        values["bridge_error"] if table["name"] == effects.SCRIPT else None,
    )


def _sides(
    matrix: Matrix, bridge: str | None, table: Mapping[str, Any], row: Mapping[str, Any]
) -> _Sides:
    point, values = _point(table, row), row["values"]
    if table["name"] == adaptation.NAME:
        return _of_condition(point, values)
    if table["name"] == effects.SCRIPT:
        return _of_scripts(point, values, matrix.spec["compare"]["script"], bridge)
    return _of_axis(point, values, table["name"], matrix.spec["compare"])


def _of_condition(point: str, values: Mapping[str, Any]) -> _Sides:
    subset = "" if values["subset"] == adaptation.ALL else f", {values['subset']}"
    first = f"{point} with {values['condition']}{subset}"
    return [values["run"]], first, f"the same with {values['against']}"


def _of_axis(
    point: str, values: Mapping[str, Any], name: str, compare: Mapping[str, Any]
) -> _Sides:
    runs = [values["run"], values["reference_run"]]
    same = " ".join(f"{k}={v}" for k, v in compare.items() if effects.axis_name(k) == name)
    return runs, f"{point} ({runs[0]})", f"{same} ({runs[1]})"


def _of_scripts(
    point: str, values: Mapping[str, Any], reference: str, bridge: str | None
) -> _Sides:
    scripts = [*(name for name in BILINGUAL if name != reference), reference]
    runs = [values[f"run_{name}"] for name in scripts]
    labels = {
        "nko": f"N'Ko {point}",
        "latin": f"Latin {point} written in N'Ko by bridge {bridge}",
    }
    first, second = (f"{labels[name]} ({run})" for name, run in zip(scripts, runs, strict=True))
    return runs, first, second


def _point(table: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    keys = [column["key"] for column in table["columns"] if column["kind"] == LABEL]
    return " ".join(f"{key}={row['values'][key]}" for key in keys if row["values"][key] is not None)
