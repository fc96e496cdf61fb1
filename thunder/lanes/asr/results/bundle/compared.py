"""The comparisons that the tables of a bundle made, each as a sentence and numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.ground import wording
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.lanes.asr.data.pairs import BILINGUAL
from thunder.lanes.asr.results.bundle import (
    adaptation,
    columns,
    document,
    effects,
    gather,
    measures,
)
from thunder.lanes.asr.results.bundle.columns import LABEL
from thunder.lanes.asr.results.bundle.families import SEED
from thunder.results.promotion.comparison import Comparison, Comparisons, Measure, Missing
from thunder.results.tables import unreadable

Measures = Mapping[str, Measure]
_Sides = tuple[list[str], str, str]  # runs; the two sides in words


def of_matrix(
    matrix: Matrix, cells: Sequence[Cell], outputs: Path, measures_of: Measures
) -> Comparisons:
    """Return the comparisons of T2, T3 and T11: those made, and those missing with a reason.

    Args:
        measures_of: what they are of, each by what its columns begin with.

    Raises:
        ThunderError: a run cannot be believed, or what the tables refuse: inputs that differ.
    """
    bundle = document.build(matrix, cells, outputs)
    unreadable.refuse_any(bundle)
    unit = gather.unit(cells)
    made: list[Comparison] = []
    missing: list[Missing] = []
    for table in bundle["tables"]:
        if not effects.is_effect(table["name"]) and table["name"] != adaptation.NAME:
            continue
        for row in filter(_compares, table["rows"]):
            reason = _reason(row)
            if reason is None:
                sides = _sides(matrix, bundle["bridge"], table, row)
                made += [
                    _comparison(measure, prefix, table, row, sides, unit)
                    for prefix, measure in measures_of.items()
                ]
            elif not _is_absent(table, row):
                missing.append(Missing(f"{_point(table, row)} ({table['name']})", reason))
    return Comparisons(made, missing)


def _compares(row: Mapping[str, Any]) -> bool:
    """Say whether a row is a comparison, or the place of one: a mean without a test is none."""
    return row["kind"] != "mean" or row["values"]["p_value"] is not None


def _reason(row: Mapping[str, Any]) -> str | None:
    """Say why a row has no comparison: no run, no alphabet in common, or no seeds enough."""
    values = row["values"]
    if row["reason"] is not None or values["interval"] is not None:
        return str(row["reason"]) if row["reason"] else None
    pairs = wording.count(values["units"], "pair")
    return f"{pairs} of trainings; {measures.FEWEST_PAIRS} are the fewest that can show one"


def _is_absent(table: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Say whether a row stands for a cell without an adaptation, which nothing is said of."""
    return table["name"] == adaptation.NAME and row["values"]["condition"] is None


def _comparison(
    measure: Measure, prefix: str, table: Mapping[str, Any], row: Mapping[str, Any],
    sides: _Sides, unit: str,
) -> Comparison:  # fmt: skip
    values, (runs, label, reference) = row["values"], sides
    difference = values[f"{prefix}difference"]
    low, high = values[f"{prefix}interval"]
    is_mean = row["kind"] == "mean"
    return Comparison(
        measure,
        table["name"],
        label,
        reference,
        runs,
        values["rows"],
        difference["mean"] if is_mean else difference,
        low,
        high,
        values[f"{prefix}p_value"],
        values[f"{prefix}p_value_holm"],
        values[f"{prefix}bridge_error"] if table["name"] == effects.SCRIPT else None,
        values["units"],
        "pairs of trainings" if is_mean else unit,
        _refused(table, row, unit),
    )


def _refused(table: Mapping[str, Any], row: Mapping[str, Any], unit: str) -> str | None:
    """Say why a row is no ground for a claim whatever its numbers."""
    if row["kind"] == "mean":
        return None
    seeds = {str(one["values"]["seed"]) for one in table["rows"] if one["kind"] != "mean"}
    if len(seeds) > 1:
        return f"of each there are trainings from {len(seeds)} seeds, and this is one of them"
    if columns.is_few(row):
        few = f"{row['values']['units']} {unit}"
        return f"{few}; nothing is claimed of fewer than {measures.FEWEST}"
    return None


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
    return values["run"].split(), first, f"the same with {values['against']}"


def _of_axis(
    point: str, values: Mapping[str, Any], name: str, compare: Mapping[str, Any]
) -> _Sides:
    runs = [*values["run"].split(), *values["reference_run"].split()]
    same = " ".join(f"{k}={v}" for k, v in compare.items() if effects.axis_name(k) == name)
    return runs, f"{point} ({values['run']})", f"{same} ({values['reference_run']})"


def _of_scripts(
    point: str, values: Mapping[str, Any], reference: str, bridge: str | None
) -> _Sides:
    scripts = [*(name for name in BILINGUAL if name != reference), reference]
    named = [values[f"run_{name}"] for name in scripts]
    labels = {
        "nko": f"N'Ko {point}",
        "latin": f"Latin {point} written in N'Ko by bridge {bridge}",
    }
    first, second = (f"{labels[name]} ({run})" for name, run in zip(scripts, named, strict=True))
    return " ".join(named).split(), first, second


def _point(table: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    values, is_mean = row["values"], row["kind"] == "mean"
    keys = [column["key"] for column in table["columns"] if column["kind"] == LABEL]
    shown = [key for key in keys if values[key] is not None and not (is_mean and key == SEED)]
    words = [f"{key}={values[key]}" for key in shown]
    return " ".join([*words, *([f"over {values['units']} seeds"] if is_mean else [])])
