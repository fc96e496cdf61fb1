"""The tables of a bundle as a terminal shows them: the numbers that a person looks for first.

With them stands whatever changes what they mean; how they were made is in the other files.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from thunder.ground import wording
from thunder.lanes.asr.results.bundle import adaptation, notes, partitions, values
from thunder.lanes.asr.results.bundle.columns import LABEL

_WIDTH = 100
_KEYS = (
    "cer", "cer_interval", "wer", "cer_nko", "cer_bridged", "reference_cer", "difference",
    "interval", "p_value_holm", "run",
)  # fmt: skip
_KEYS_OF = {  # of tables with a row per cell and something else; T1 has the runs of the cells
    partitions.NAME: ("partition", "rows", "share", "cer", "cer_interval"),
    adaptation.NAME: (
        "condition", "subset", "changed", "valid_changed", "valid_rows", "difference", "interval",
        "p_value_holm",
    ),
}  # fmt: skip


def render(document: Mapping[str, Any]) -> str:
    """Return every table in few columns; one without a measured row is left out."""
    lines = [document["question"] or document["name"], *notes.completeness(document)]
    lines += [notes.STAND_IN_NOTE] if document["stand_in"] else []
    for table in document["tables"]:
        if _is_measured(table):
            lines += ["", table["title"], _table(table), *_wrapped(table["caveats"])]
    if told := [*notes.warnings(document), *notes.code(document)]:
        lines += ["", *_wrapped(told)]
    return "\n".join(lines) + "\n\n"


def _is_measured(table: Mapping[str, Any]) -> bool:
    return any(row["kind"] == "run" for row in table["rows"])


def _has_values(table: Mapping[str, Any], key: str) -> bool:
    return any(row["values"][key] is not None for row in table["rows"])


def _wrapped(lines: Sequence[str]) -> list[str]:
    return [textwrap.fill(line, _WIDTH, subsequent_indent="  ") for line in lines]


def _table(table: Mapping[str, Any]) -> str:
    keys = _KEYS_OF.get(table["name"], _KEYS)
    columns = [
        one for one in table["columns"]
        if one["kind"] == LABEL or (one["key"] in keys and _has_values(table, one["key"]))
    ]  # fmt: skip
    has_reasons = any(row["reason"] for row in table["rows"])
    rows = []
    for row in table["rows"]:
        rows.append([*values.cells(columns, row), *([row["reason"] or ""] if has_reasons else [])])
    head = [*(values.title(column) for column in columns), *(["note"] if has_reasons else [])]
    return wording.columns(head, rows)
