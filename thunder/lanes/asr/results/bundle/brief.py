"""The tables of a bundle as a terminal shows them: the numbers that a person looks for first.

With them stands whatever changes what they mean; how they were made is in the other files.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from thunder.ground import wording
from thunder.lanes.asr.results.bundle import notes, values
from thunder.lanes.asr.results.bundle.columns import LABEL

_WIDTH = 100
_TABLES = ("T1", "T2", "T3")
_KEYS = (
    "cer", "cer_interval", "wer", "cer_nko", "cer_bridged", "reference_cer", "difference",
    "interval", "p_value_holm", "run",
)  # fmt: skip


def render(document: Mapping[str, Any]) -> str:
    """Return the first tables in few columns; a table without a measured row is left out."""
    lines = [document["question"] or document["name"], *notes.completeness(document)]
    lines += [notes.STAND_IN_NOTE] if document["stand_in"] else []
    for table in document["tables"]:
        if table["name"].partition("_")[0] in _TABLES and _is_measured(table):
            lines += ["", table["title"], _table(table), *_wrapped(table["caveats"])]
    if told := [*notes.warnings(document), *notes.code(document)]:
        lines += ["", *_wrapped(told)]
    return "\n".join(lines) + "\n\n"


def _is_measured(table: Mapping[str, Any]) -> bool:
    return any(row["kind"] == "run" for row in table["rows"])


def _wrapped(lines: Sequence[str]) -> list[str]:
    return [textwrap.fill(line, _WIDTH, subsequent_indent="  ") for line in lines]


def _table(table: Mapping[str, Any]) -> str:
    columns = [one for one in table["columns"] if one["kind"] == LABEL or one["key"] in _KEYS]
    has_reasons = any(row["reason"] for row in table["rows"])
    rows = []
    for row in table["rows"]:
        rows.append([*values.cells(columns, row), *([row["reason"] or ""] if has_reasons else [])])
    head = [*(values.title(column) for column in columns), *(["note"] if has_reasons else [])]
    return wording.columns(head, rows)
