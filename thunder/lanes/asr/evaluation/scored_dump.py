"""A dump as edits per row, and what a reader must know before using a number of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from thunder.lanes.asr.labels import STABLE
from thunder.language import spelling
from thunder.scoring.score import VARIANTS, Counts, counts

# A router that lets nearly nothing or nearly everything pass routes nothing.
STABLE_SHARE = (0.20, 0.95)
MOST_BLANK = 0.98


@dataclass(frozen=True)
class Scored:
    """A dump as edits per row, its rows in order of their ids."""

    ids: list[str]
    counts: dict[str, Counts]  # by variant
    labels: list[str]
    blank_mass: list[float] = field(repr=False)


def score(rows: Iterable[Mapping[str, Any]], script: spelling.Script | str) -> Scored:
    """Return the edits of the rows of a dump, in every variant."""
    kept = [
        (
            row["feat_id"],
            row["reference_text"],
            row["asr_text"],
            row["partition"],
            row["blank_mass"],
        )
        for row in rows
    ]
    ids, references, texts, labels, blanks = (
        map(list, zip(*kept, strict=True)) if kept else [[]] * 5
    )
    by_variant = {name: counts(references, texts, script, name) for name in VARIANTS}
    return Scored(ids, by_variant, labels, blanks)


def warnings(test: Scored) -> list[str]:
    """Return what a reader must know before using a number of test."""
    sentences = []
    share, (low, high) = stable_share(test), STABLE_SHARE
    # No failure: the model is trained and its error rate right, whatever the router makes of it,
    # and a sanity run of one epoch is unsure of everything.
    if share is not None and not low <= share <= high:
        sentences.append(
            f"the router calls {share:.1%} of test stable; a useful one says so of {low:.0%} to "
            f"{high:.0%}: do not route by these partitions"
        )
    blank = blank_mass(test)
    if blank is not None and blank > MOST_BLANK:
        sentences.append(
            f"{blank:.1%} of the posteriors of test are blank: the model writes nothing; it was "
            "trained too little, or its frames are too few for the text"
        )
    return sentences


def stable_share(test: Scored) -> float | None:
    """Return the share of rows that are stable."""
    return test.labels.count(STABLE) / len(test.labels) if test.labels else None


def blank_mass(test: Scored) -> float | None:
    """Return the mean share of blanks in the posteriors of the rows."""
    return sum(test.blank_mass) / len(test.blank_mass) if test.blank_mass else None
