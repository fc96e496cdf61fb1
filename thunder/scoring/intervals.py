"""How sure an error rate is: the bootstrap over units, the same on every machine.

A unit is a row, or a cluster of rows that are not independent (`score.grouped`).
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from thunder.ground.errors import ThunderError
from thunder.scoring.score import Counts, rates

SAMPLES = 1000
MANY = 10_000  # samples of a difference, as many as its test has
SEED = 0
LEVEL = 95  # percent
FEWEST = 20  # units; of fewer, an interval is too narrow and nothing is claimed
FEW = "‡"  # marks an interval of fewer
_MOST_DRAWS = 1 << 19  # at once: units times samples, eight bytes each

Floats = npt.NDArray[np.float64]


def bootstrap(counts: Counts, samples: int = SAMPLES, seed: int = SEED) -> tuple[float, float]:
    """Return the 95 % interval of the micro CER over resampled units (Bisani and Ney 2004).

    Raises ThunderError when there are no rows.
    """
    return bootstrap_all([counts], samples, seed)[0]


def bootstrap_all(
    several: Sequence[Counts], samples: int = SAMPLES, seed: int = SEED
) -> list[tuple[float, float]]:
    """Return `bootstrap` of several counts of the same rows, resampled together."""
    sums = _resampled(several, samples, seed)
    return [_interval(rates(sums[:, 2 * i], sums[:, 2 * i + 1])) for i in range(len(several))]


def paired(
    first: Counts, second: Counts, samples: int = MANY, seed: int = SEED
) -> tuple[float, float]:
    """Return the interval of first minus second in micro CER; both are of the same units."""
    return paired_all([(first, second)], samples, seed)[0]


def paired_all(
    pairs: Sequence[tuple[Counts, Counts]], samples: int = MANY, seed: int = SEED
) -> list[tuple[float, float]]:
    """Return `paired` of several pairs with as many units each, resampled together.

    Every resampling takes the same units of both sides. To draw them is most of the work.
    """
    sums = _resampled([side for pair in pairs for side in pair], samples, seed)
    both = [rates(sums[:, at], sums[:, at + 1]) for at in range(0, sums.shape[1], 2)]
    return [_interval(both[at] - both[at + 1]) for at in range(0, len(both), 2)]


def of_mean(values: Sequence[float], seed: int = SEED) -> tuple[float, float] | None:
    """Return the interval of the mean of values; None where they are too few to have one.

    Of few it holds every mean that the sign-flip test does not reject: the means of all subsets
    part the line into pieces that hold the true one equally likely (Hartigan 1969). That takes 6
    values for 95 %; a bootstrap of so few would be far too narrow.
    """
    if len(values) >= FEWEST:
        drawn = [times @ np.array(values) for times in _weights(len(values), MANY, seed)]
        return _interval(np.concatenate(drawn) / len(values))
    subsets = (one for size in range(1, len(values) + 1) for one in combinations(values, size))
    means = sorted(sum(one) / len(one) for one in subsets)
    cut = int((100 - LEVEL) / 200 * (len(means) + 1))
    return (float(means[cut - 1]), float(means[-cut])) if cut else None


def few_note(units: str) -> str:
    """Return what the mark of an interval means; `units` is what is resampled, in plural."""
    return (
        f"{FEW} an interval over fewer than {FEWEST} {units} is narrower than it says; nothing is "
        "claimed of it."
    )


def _resampled(several: Sequence[Counts], samples: int, seed: int) -> Floats:
    """Return the sums of edits and characters of resampled units (samples, 2 * counts).

    Sums of integers below 2**53 are exact in doubles, so no order of adding changes them.
    """
    columns, places = _columns(several)
    if samples < 1 or not len(columns):
        raise ThunderError(
            f"bootstrap: {samples} samples of {len(columns)} rows; at least one each"
        )
    if seed < 0:
        raise ThunderError(f"bootstrap: seed {seed}; it must be 0 or more")
    sums = [weights @ columns for weights in _weights(len(columns), samples, seed)]
    return np.concatenate(sums)[:, places]


def _weights(rows: int, samples: int, seed: int) -> Iterator[Floats]:
    """Yield how often each unit was drawn, some samples at a time (some samples, units).

    Made of PCG64's raw numbers, which are promised to stay the same; a Generator's draws are not.
    """
    source = np.random.PCG64(seed)
    at_once = max(1, _MOST_DRAWS // rows)
    for begin in range(0, samples, at_once):
        size = min(at_once, samples - begin)
        high = source.random_raw(size * rows) >> np.uint64(32)
        drawn = ((high * np.uint64(rows)) >> np.uint64(32)).astype(np.int64).reshape(size, rows)
        drawn += np.arange(0, size * rows, rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * rows)
        yield times.reshape(size, rows).astype(np.float64)


def _columns(several: Sequence[Counts]) -> tuple[Floats, list[int]]:
    """Return the columns that differ, and which of them holds each column of each of several.

    Sides of the same references have the same lengths, and one run is on many sides.
    """
    rows = {len(counts.edits) for counts in several}
    if len(rows) != 1:
        raise ThunderError(f"counts of {sorted(rows)} rows; the same rows are needed in all")
    columns = [column for counts in several for column in (counts.edits, counts.chars)]
    place: dict[bytes, int] = {}
    places = [place.setdefault(column.tobytes(), len(place)) for column in columns]
    firsts = [columns[places.index(number)] for number in range(len(place))]
    return np.stack(firsts, axis=1).astype(np.float64), places


def _interval(values: Floats) -> tuple[float, float]:
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
