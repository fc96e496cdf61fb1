"""An alignment as it is drawn: words of cells, each with reference above hypothesis."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from thunder.language import spelling
from thunder.scoring.edits import Edit

GLUE = "\u07fa"  # lajanyalan stretches a join, so it joins too
_LETTERS = range(0x07CA, 0x07EB)  # the letters of N'Ko join on both sides (Unicode, Joining_Type)


def words(edits: Sequence[Edit]) -> list[list[dict[str, Any]]]:
    """Return the cells of an alignment, grouped so that lines break between words alone.

    Equal parts that follow each other are one cell, so that their letters join; a space that both
    lines have is no cell. A part that joins its neighbour in its own line says so: each cell is a
    box of its own, where a letter would take its isolated form.
    """
    cells = list(_cells(edits))
    for side in ("reference", "hypothesis"):
        _join([cell[side] for cell in cells])
    return [word for word in _split(cells) if word]


def _cells(edits: Iterable[Edit]) -> Iterator[dict[str, Any]]:
    equal = ""
    for op, reference, hypothesis in edits:
        if op == "equal" and not reference.isspace():
            equal += reference
            continue
        if equal:
            yield _cell("equal", equal, equal)
            equal = ""
        yield _cell(op, reference, hypothesis)
    if equal:
        yield _cell("equal", equal, equal)


def _cell(op: str, reference: str, hypothesis: str) -> dict[str, Any]:
    return {"op": op, "reference": _part(reference), "hypothesis": _part(hypothesis)}


def _part(text: str) -> dict[str, Any]:
    return {"text": text, "joins_before": False, "joins_after": False}


def _join(parts: Sequence[dict[str, Any]]) -> None:
    """Mark the parts of one line whose letters join over the border between them."""
    drawn = [part for part in parts if part["text"]]
    for left, right in pairwise(drawn):
        base = spelling.clusters(left["text"])[-1][0]
        if _is_joining(base) and _is_joining(right["text"][0]):
            left["joins_after"] = right["joins_before"] = True


def _is_joining(char: str) -> bool:
    return ord(char) in _LETTERS or char == GLUE


def _split(cells: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    word: list[dict[str, Any]] = []
    for cell in cells:
        texts = {cell["reference"]["text"], cell["hypothesis"]["text"]}
        if cell["op"] != "equal" or texts != {" "}:
            word.append(cell)
        if " " in texts:
            yield word
            word = []
    yield word
