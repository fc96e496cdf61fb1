"""How sure an error rate is: the bootstrap over rows, the same on every machine."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from thunder.ground.errors import ThunderError
from thunder.scoring.score import Counts, rates

SAMPLES = 1000
SEED = 0
LEVEL = 95  # percent
_MOST_DRAWS = 1 << 20  # at once: rows times samples, eight bytes each

Floats = npt.NDArray[np.float64]


def bootstrap(counts: Counts, samples: int = SAMPLES, seed: int = SEED) -> tuple[float, float]:
    """Return the 95 % interval of the micro CER over resampled rows (Bisani and Ney 2004).

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
    first: Counts, second: Counts, samples: int = SAMPLES, seed: int = SEED
) -> dict[str, float]:
    """Return the difference of two micro CERs over the same rows, first minus second.

    Every resampling takes the same rows of both. `p_value` is two-sided: twice the share of
    resampled differences on the rarer side of zero, each count raised by one, so never 0
    (Davison and Hinkley 1997, section 4.2).
    """
    sums = _resampled([first, second], samples, seed)
    differences = rates(sums[:, 0], sums[:, 1]) - rates(sums[:, 2], sums[:, 3])
    whole = rates(*_columns([first, second]).sum(axis=0).reshape(2, 2).T)
    low, high = _interval(differences)
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return {
        "difference": float(whole[0] - whole[1]),
        "low": low,
        "high": high,
        "p_value": min(1.0, 2 * (rarer + 1) / (samples + 1)),
    }


def _resampled(several: Sequence[Counts], samples: int, seed: int) -> Floats:
    """Return the sums of edits and characters of resampled rows (samples, 2 * counts).

    Sums of integers below 2**53 are exact in doubles, so no order of adding changes them.
    """
    columns = _columns(several)
    if samples < 1 or not len(columns):
        raise ThunderError(
            f"bootstrap: {samples} samples of {len(columns)} rows; at least one each"
        )
    if seed < 0:
        raise ThunderError(f"bootstrap: seed {seed}; it must be 0 or more")
    return np.concatenate([weights @ columns for weights in _weights(len(columns), samples, seed)])


def _weights(rows: int, samples: int, seed: int) -> Iterator[Floats]:
    """Yield how often each row was drawn, some samples at a time (some samples, rows).

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


def _columns(several: Sequence[Counts]) -> Floats:
    rows = {len(counts.edits) for counts in several}
    if len(rows) != 1:
        raise ThunderError(f"counts of {sorted(rows)} rows; the same rows are needed in all")
    columns = [column for counts in several for column in (counts.edits, counts.chars)]
    return np.stack(columns, axis=1).astype(np.float64)


def _interval(values: Floats) -> tuple[float, float]:
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
