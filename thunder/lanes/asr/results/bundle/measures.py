"""Scores as tables need them: over chosen rows, with intervals, tested against chance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from thunder.scoring import VARIANTS as VARIANTS
from thunder.scoring import Counts as Counts
from thunder.scoring import bridged as bridged
from thunder.scoring import counts as counts
from thunder.scoring import intervals, permutation
from thunder.scoring import summary as summary
from thunder.scoring.intervals import FEW as FEW
from thunder.scoring.intervals import FEWEST as FEWEST
from thunder.scoring.intervals import few_note as few_note
from thunder.scoring.permutation import FEWEST_PAIRS as FEWEST_PAIRS
from thunder.scoring.permutation import LEVEL as LEVEL
from thunder.scoring.permutation import holm as holm
from thunder.scoring.score import MAIN as MAIN
from thunder.scoring.score import Labels as Labels
from thunder.scoring.score import grouped as grouped
from thunder.scoring.score import of_words as of_words
from thunder.scoring.score import part as part

SEED = intervals.SEED
SMALLEST = "smallest_p"  # the least that a p-value could have been, beside it until rows are shown


def of_edits(edits: npt.NDArray[np.int64], chars: npt.NDArray[np.int64]) -> Counts:
    """Return counts of characters alone."""
    nothing = np.zeros_like(edits)
    return Counts(edits, chars, nothing, nothing)


def cer(counted: Counts) -> float | None:
    """Return the micro CER, None without rows."""
    rate = summary(counted)["cer_micro"]
    return None if rate is None else float(rate)


def interval(counted: Counts, samples: int) -> list[float]:
    """Return the 95 % bootstrap interval of the micro CER over units."""
    low, high = intervals.bootstrap(counted, samples, SEED)
    return [float(low), float(high)]


def paired_all(pairs: Sequence[tuple[Counts, Counts]]) -> list[dict[str, Any]]:
    """Return first − second of pairs with as many units: difference, interval, p_value, …"""
    found = []
    for pair, interval in zip(pairs, intervals.paired_all(pairs, seed=SEED), strict=True):
        rates = [cer(side) or 0.0 for side in pair]
        tested = permutation.rates_differ(*pair, seed=SEED)
        numbers = {"difference": rates[0] - rates[1], "interval": list(interval)}
        found.append({**numbers, "p_value": tested.p_value, SMALLEST: tested.smallest})
    return found


def over_pairs(differences: Sequence[float]) -> dict[str, Any]:
    """Return how far the mean of differences is from 0: interval, p_value, smallest_p."""
    tested, interval = permutation.mean_differs(differences), intervals.of_mean(differences)
    return {
        "interval": interval and list(interval),
        "p_value": tested.p_value,
        SMALLEST: tested.smallest,
    }


def paired_note(units: str) -> str:
    """Return the footnote of a table of paired comparisons; `units` in plural."""
    return (
        f"p: two-sided sign-flip permutation test over {units}, by all swaps of the two sides up "
        f"to {permutation.SAMPLES:,}, else by as many at random (seed {SEED}); interval: paired "
        f"bootstrap over {units}, 95 %, {intervals.MANY:,} samples. p (Holm): adjusted for the "
        "comparisons of one question, those of CER and of WER, of all utterances and of the "
        "text-disjoint ones, of single trainings and over seeds each by themselves."
    )
