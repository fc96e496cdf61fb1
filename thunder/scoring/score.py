"""How well rows of text were recognised: edits per row, and error rates of them all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thunder.ground.errors import ThunderError
from thunder.language import bridge, spelling
from thunder.scoring import edits

VARIANTS = spelling.VARIANTS
MAIN = spelling.MAIN

Ints = npt.NDArray[np.int64]
Labels = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Counts:
    """Edits and lengths of references, one entry per row."""

    edits: Ints  # of characters
    chars: Ints
    word_edits: Ints
    words: Ints


def counts(
    references: Sequence[str],
    hypotheses: Sequence[str],
    script: spelling.Script | str,
    variant: str,
) -> Counts:
    """Return the Levenshtein edits of each row, on characters (code points) and on words.

    Args:
        script: whose rules of normalisation hold for both sides.
        variant: one of VARIANTS.
    """
    if len(references) != len(hypotheses):
        raise ThunderError(
            f"{len(references)} references and {len(hypotheses)} hypotheses; each row needs both"
        )
    form = spelling.script(script) if isinstance(script, str) else script
    first = [spelling.scored(text, form, variant) for text in references]
    second = [spelling.scored(text, form, variant) for text in hypotheses]
    first_words, second_words = [t.split() for t in first], [t.split() for t in second]
    return Counts(
        edits=edits.distances(first, second),
        chars=_lengths(first),
        word_edits=edits.word_distances(first_words, second_words),
        words=_lengths(first_words),
    )


def bridged(
    references: Sequence[str], hypotheses: Sequence[str], version: str, variant: str
) -> Counts:
    """Return the edits of Latin hypotheses that a bridge maps to N'Ko, against N'Ko references.

    Error rates of two alphabets cannot be compared as they are; these can.
    """
    mapped = [bridge.to_nko(text, version) for text in hypotheses]
    return counts(references, mapped, "nko", variant)


def part(whole: Counts, rows: npt.NDArray[Any]) -> Counts:
    """Return the counts of some rows: a mask, or indices."""
    return Counts(whole.edits[rows], whole.chars[rows], whole.word_edits[rows], whole.words[rows])


def grouped(whole: Counts, clusters: Sequence[str] | Labels | None) -> Counts:
    """Return the counts of units: sums over the rows of each cluster, or the rows themselves.

    Rows of one speaker err alike: what is independent is the speaker.
    """
    if clusters is None:
        return whole
    _, places = np.unique(np.array(clusters, dtype=np.str_), return_inverse=True)
    columns = (whole.edits, whole.chars, whole.word_edits, whole.words)
    sums = (np.bincount(places, weights=column).astype(np.int64) for column in columns)
    return Counts(*sums)


def of_words(whole: Counts) -> Counts:
    """Return counts whose edits and lengths are of words, for the interval or test of a WER."""
    return Counts(whole.word_edits, whole.words, whole.word_edits, whole.words)


def summary(counted: Counts) -> dict[str, Any]:
    """Return the error rates of rows; without rows there are none.

    `cer_micro` is all edits over all characters, `cer_macro` and `cer_median` are of the rates of
    rows, `exact` is the share of rows without an edit. What has no characters has a rate of 0 when
    nothing was recognised either, else of 1.
    """
    rows = len(counted.edits)
    by_row = rates(counted.edits, counted.chars)
    return {
        "rows": rows,
        "edits": int(counted.edits.sum()),
        "ref_chars": int(counted.chars.sum()),
        "cer_micro": _micro(counted.edits, counted.chars) if rows else None,
        "cer_macro": float(by_row.mean()) if rows else None,
        "cer_median": float(np.median(by_row)) if rows else None,
        "wer_micro": _micro(counted.word_edits, counted.words) if rows else None,
        "exact": float((counted.edits == 0).mean()) if rows else None,
    }


def rates(errors: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return errors over lengths; over a length of 0 it is 0 without errors, else 1."""
    empty = lengths == 0
    ratios: npt.NDArray[np.float64] = np.where(
        empty, errors > 0, errors / np.where(empty, 1, lengths)
    )
    return ratios


def _micro(errors: Ints, lengths: Ints) -> float:
    return float(rates(errors.sum(), lengths.sum()))


def _lengths(sequences: Sequence[Sequence[str]]) -> Ints:
    return np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
