"""Tables in Markdown: whatever a cell says, it stays one cell."""

import re
from collections.abc import Iterable

_LINE_BREAK = re.compile(r"\r\n?|\n")


def row(cells: Iterable[str]) -> str:
    """Return a row of a table; line breaks and bars in a cell do not tear it."""
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(content: str) -> str:
    return _LINE_BREAK.sub(" ", content).replace("|", "\\|")
