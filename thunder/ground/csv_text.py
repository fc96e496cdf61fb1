"""Rows as CSV that a spreadsheet shows and does not obey."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

_OBEYED = ("=", "+", "-", "@", "\t", "\r")


def render(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV; what a spreadsheet would take for a formula has a `'` before it."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([map(_cell, row) for row in rows])
    return stream.getvalue()


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    mark = "'" if value.startswith(_OBEYED) and not _is_number(value) else ""
    # The csv module puts no quotes around a lone \r.
    return mark + value.replace("\r\n", "\n").replace("\r", "\n")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text[0] in "+-"
