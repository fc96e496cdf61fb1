"""Edit distances and alignments of texts, in characters, words and clusters."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

from thunder.language import spelling

OPS = ("equal", "substitute", "insert", "delete")

Edit = tuple[str, str, str]  # op, part of the reference, part of the hypothesis


def distances(
    references: Sequence[Sequence[Hashable]], hypotheses: Sequence[Sequence[Hashable]]
) -> npt.NDArray[np.int64]:
    """Return the Levenshtein distance of each pair of texts, or of lists of numbers (rows,)."""
    if not references:
        return np.zeros(0, dtype=np.int64)
    return cpdist(references, hypotheses, scorer=Levenshtein.distance, dtype=np.int64)


def word_distances(
    references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]
) -> npt.NDArray[np.int64]:
    """Return the Levenshtein distance of each pair of lists of words (rows,)."""
    pairs = [numbered(*pair) for pair in zip(references, hypotheses, strict=True)]
    return distances([first for first, _ in pairs], [second for _, second in pairs])


def alignment(reference: str, hypothesis: str) -> list[Edit]:
    """Return how a hypothesis comes from its reference, cluster by cluster, in reading order.

    An `insert` has no reference part, a `delete` no hypothesis part. A cluster is a letter with its
    marks, so one edit here can be several edits of characters.
    """
    first, second = spelling.clusters(reference), spelling.clusters(hypothesis)
    return [
        edit
        for op in Levenshtein.opcodes(*numbered(first, second))
        for edit in _edits(
            op.tag, first[op.src_start : op.src_end], second[op.dest_start : op.dest_end]
        )
    ]


def totals(alignments: Iterable[Iterable[Edit]]) -> dict[str, int]:
    """Return how often each op occurs in alignments, in clusters."""
    counts = Counter(edit[0] for edits in alignments for edit in edits)
    return {op: counts[op] for op in OPS}


def numbered(first: Sequence[Hashable], second: Sequence[Hashable]) -> tuple[list[int], list[int]]:
    """Return two sequences with their items numbered: equal numbers for equal items, no hashes."""
    numbers: dict[Hashable, int] = {}
    return (
        [numbers.setdefault(item, len(numbers)) for item in first],
        [numbers.setdefault(item, len(numbers)) for item in second],
    )


def _edits(tag: str, first: Sequence[str], second: Sequence[str]) -> Iterator[Edit]:
    if tag == "delete":
        yield from (("delete", part, "") for part in first)
    elif tag == "insert":
        yield from (("insert", "", part) for part in second)
    else:  # as many clusters on both sides
        op = "equal" if tag == "equal" else "substitute"
        yield from ((op, *parts) for parts in zip(first, second, strict=True))
