"""Scores as tables need them: over chosen rows, with intervals, adjusted for many comparisons."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from thunder.ground import wording
from thunder.scoring import VARIANTS as VARIANTS
from thunder.scoring import Counts as Counts
from thunder.scoring import bridged as bridged
from thunder.scoring import counts as counts
from thunder.scoring import intervals
from thunder.scoring import summary as summary
from thunder.scoring.score import MAIN as MAIN
from thunder.scoring.score import part as part

SEED = intervals.SEED


def of_edits(edits: npt.NDArray[np.int64], chars: npt.NDArray[np.int64]) -> Counts:
    """Return counts of characters alone."""
    nothing = np.zeros_like(edits)
    return Counts(edits, chars, nothing, nothing)


def cer(counted: Counts) -> float | None:
    """Return the micro CER, None without rows."""
    rate = summary(counted)["cer_micro"]
    return None if rate is None else float(rate)


def interval(counted: Counts, samples: int) -> list[float]:
    """Return the 95 % bootstrap interval of the micro CER."""
    low, high = intervals.bootstrap(counted, samples, SEED)
    return [float(low), float(high)]


def paired(first: Counts, second: Counts, samples: int) -> dict[str, float]:
    """Return first − second over the same rows: difference, low, high, p_value."""
    comparison = intervals.paired(first, second, samples, SEED)
    return {key: float(comparison[key]) for key in ("difference", "low", "high", "p_value")}


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for their number (Holm 1979); what is missing stays so."""
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    worst = 0.0
    for rank, (p, index) in enumerate(order):
        worst = max(worst, min(1.0, p * (len(order) - rank)))
        adjusted[index] = worst
    return adjusted


def paired_note(samples: int, comparisons: int) -> str:
    """Return the footnote of a table of paired comparisons."""
    return (
        f"paired bootstrap over utterances ({samples:,} samples, seed {SEED}): interval at 95 %, p "
        f"two-sided and never below {2 / (samples + 1):.2g}; p (Holm): adjusted for the "
        f"{wording.count(comparisons, 'comparison')} of this table."
    )
