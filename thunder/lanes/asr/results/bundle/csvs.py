"""One table as CSV for programs: full precision, fractions as they are, run ids."""

from collections.abc import Mapping
from typing import Any

from thunder.ground import csv_text
from thunder.lanes.asr.results.bundle import columns, notes

_PAIRS = (columns.RATES, columns.DIFFERENCES)


def render(document: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    """Return a table; a mean has its deviation and count in columns of their own.

    The last column has what changes the meaning of the numbers, in every row: a program may take
    rows apart, and a line that is no row would stop it.
    """
    spread = _spread_keys(table)
    head = [name for column in table["columns"] for name in _names(column, spread)]
    rows = [["row", *head, "stand_in", "reason", "caveats"]]
    told = " ".join(notes.caveats(document, table))
    for row in table["rows"]:
        cells = [row["kind"]]
        for column in table["columns"]:
            cells += _cells(column, row["values"][column["key"]], spread)
        rows.append([*cells, row["stand_in"], row["reason"] or "", told])
    return csv_text.render(rows)


def _spread_keys(table: Mapping[str, Any]) -> set[str]:
    return {
        key
        for row in table["rows"]
        for key, value in row["values"].items()
        if isinstance(value, dict)
    }


def _names(column: Mapping[str, Any], spread: set[str]) -> list[str]:
    key = column["key"]
    if column["kind"] in _PAIRS:
        return [f"{key}_low", f"{key}_high"]
    return [key, f"{key}_sd", f"{key}_n"] if key in spread else [key]


def _cells(column: Mapping[str, Any], value: Any, spread: set[str]) -> list[Any]:
    if column["kind"] in _PAIRS:
        return ["", ""] if value is None else list(value)
    if column["key"] not in spread:
        return ["" if value is None else value]
    if isinstance(value, dict):
        return ["" if value[key] is None else value[key] for key in ("mean", "sd", "n")]
    return ["" if value is None else value, "", ""]
