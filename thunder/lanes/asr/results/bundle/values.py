"""Values of tables as short texts: rounded for people, the same in Markdown and LaTeX."""

from collections.abc import Mapping, Sequence
from typing import Any

from thunder.ground.wording import STAND_IN
from thunder.lanes.asr.results.bundle import columns
from thunder.lanes.asr.results.bundle.measures import FEW

MISSING = "–"
MINUS = "−"
_SMALL_P = 0.001
_DIGITS = 4
_UNITS = {
    columns.RATE: " %",
    columns.DIFFERENCE: " (pp)",
    columns.RATES: " (%)",
    columns.DIFFERENCES: " (pp)",
}


def title(column: Mapping[str, Any]) -> str:
    """Return the head of a column, with its unit."""
    return str(column["title"]) + _UNITS.get(column["kind"], "")


def is_number(column: Mapping[str, Any]) -> bool:
    """Say whether a column holds numbers, which are aligned on the right."""
    return column["kind"] not in (columns.TEXT, columns.LABEL, columns.RUN)


def cells(table_columns: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> list[str]:
    """Return the values of a row as people read them, stand-ins and narrow intervals marked."""
    mark = f" {FEW}" if columns.is_few(row) else ""
    shown = []
    for column in table_columns:
        value = row["values"][column["key"]]
        is_interval = column["kind"] in (columns.RATES, columns.DIFFERENCES)
        shown.append(text(column, value) + (mark if is_interval and value is not None else ""))
    shown[0] += f" {STAND_IN}" if row["stand_in"] else ""
    return shown


def text(column: Mapping[str, Any], value: Any) -> str:
    """Return one value as people read it."""
    kind = column["kind"]
    if value is None:
        return MISSING
    if isinstance(value, dict):
        return _spread(kind, value)
    if kind in (columns.RATES, columns.DIFFERENCES):
        one = columns.RATE if kind == columns.RATES else columns.DIFFERENCE
        return f"[{_number(one, value[0])}, {_number(one, value[1])}]"
    if kind in (columns.TEXT, columns.LABEL, columns.RUN) or isinstance(value, str):
        return str(value)
    return _number(kind, value)


def _number(kind: str, value: float) -> str:
    if kind == columns.RATE:
        return f"{100 * value:.2f}"
    if kind == columns.DIFFERENCE:
        rounded = f"{100 * value:+.2f}"
        return "0.00" if float(rounded) == 0 else rounded.replace("-", MINUS)
    if kind == columns.P_VALUE:
        return f"<{_SMALL_P}" if value < _SMALL_P else f"{value:.3f}"
    if kind == columns.COUNT:
        return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
    return f"{value:.{_DIGITS}g}".replace("-", MINUS)


def _spread(kind: str, value: Mapping[str, Any]) -> str:
    mean = _number(kind, value["mean"])
    if value["sd"] is None:
        return mean
    sd = f"{value['sd']:.2g}" if kind == columns.NUMBER else _number(kind, value["sd"]).lstrip("+")
    return f"{mean} ± {sd}"
