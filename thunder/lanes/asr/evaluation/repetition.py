"""How much a text repeats itself: the mark of a decoder that is caught in a loop."""

import zlib
from collections.abc import Sequence

LONGEST = 4  # units, characters or words, that may make up what is repeated


def measure(text: str) -> dict[str, float]:
    """Return `repeats`, the most times in a row that 1 to 4 characters or words stand, and `ratio`.

    `ratio` is compressed length over length, about 1 for speech and near 0 for a loop.
    """
    units: tuple[Sequence[str], ...] = (text, text.split(" "))
    return {
        "repeats": max(map(_repeats, units)) if text else 0,
        "ratio": round(_compressed(text) / len(text), 6) if text else 1.0,
    }


def _repeats(units: Sequence[str]) -> int:
    """Return how often in a row the most repeated of all 1- to 4-grams stands; 1: never twice."""
    most = 1
    for size in range(1, LONGEST + 1):
        same = 0
        for index in range(size, len(units)):
            same = same + 1 if units[index] == units[index - size] else 0
            most = max(most, same // size + 1)
    return most


def _compressed(text: str) -> int:
    """Return the bytes that raw deflate makes of a text."""
    # One byte a character: in UTF-8, N'Ko would shrink for its lead bytes alone.
    codes: dict[str, int] = {}
    data = bytes(codes.setdefault(char, len(codes) % 256) for char in text)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return len(squeeze.compress(data) + squeeze.flush())
