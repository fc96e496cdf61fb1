"""Words for people: nearest names, keys as they are written, counts, plain tables."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

# What a terminal obeys instead of showing it; a line may break, and columns may be set off by tabs.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

STAND_IN = "†"  # marks what is no result: a stand-in's run, and numbers of it


def printable(text: str) -> str:
    """Return a text whose control characters are escaped as JSON escapes them, `\\u001b`."""
    return CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def nearest(word: str, choices: list[str]) -> str:
    """Return ` (did you mean 'x'?)` for the choice most like a word, or nothing."""
    close = get_close_matches(word, choices, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def unknown_key(
    key: Any, allowed: list[str], more: Sequence[str] = (), renamed: Mapping[str, str] | None = None
) -> str:
    """Return the message for a key that does not exist.

    Args:
        more: what else may have been meant.
        renamed: keys of earlier versions, with what they are called now.
    """
    if renamed and key in renamed:
        return f"not a key any more, it is {renamed[key]} now; allowed: {', '.join(allowed)}"
    if not allowed:
        return "not a key here; nothing is allowed in this place"
    return f"not a key here{nearest(str(key), [*allowed, *more])}; allowed: {', '.join(allowed)}"


def dotted(path: tuple[str | int, ...]) -> str:
    """Return a path as people write it: `train.steps`, `axes[2]`, `$` for the whole."""
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return key.removeprefix(".") or "$"


def at(value: Any, path: Sequence[str | int]) -> Any:
    """Return what lies under a path of nested mappings and lists."""
    for part in path:
        value = value[part]
    return value


def is_text(value: str) -> bool:
    """Say whether a text can be written in UTF-8."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def not_utf8(error: UnicodeDecodeError) -> str:
    """Return which byte is not UTF-8, and where in its line."""
    column = error.start - error.object.rfind(b"\n", 0, error.start)
    return f"not UTF-8: byte {error.object[error.start]:#04x} at column {column}"


def columns(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as aligned columns under a head."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(_width(row[i]) for row in cells) for i in range(len(head))]
    lines = [
        "  ".join(c + " " * (w - _width(c)) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def count(number: int, noun: str) -> str:
    """Return a number of things: `1 run`, `2 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def some(items: Sequence[str], most: int) -> str:
    """Return the first of some items and how many more there are: `a, b and 3 more`."""
    left = len(items) - most
    return ", ".join(items[:most]) + (f" and {left:,} more" if left > 0 else "")


def some_lines(items: Sequence[str], most: int, count: int | None = None) -> list[str]:
    """Return the first of some lines, and one that says how many more there are.

    Args:
        count: of all lines, where the first alone were made.
    """
    left = (len(items) if count is None else count) - most
    return [*items[:most], *([f"… and {left:,} more"] if left > 0 else [])]


def _width(text: str) -> int:
    """Return how many columns a terminal gives a text; N'Ko's tone marks take none."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )
