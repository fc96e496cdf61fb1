"""Shares of rows for the speeds of ranks."""

from collections.abc import Sequence

_ALIKE = 1.25  # speeds that differ by less are not worth other shares
_LARGEST = 4  # of a weight for the slowest: small weights are small batches


def advised(speeds: Sequence[float | None]) -> list[int] | None:
    """Return small whole shares of rows that are near the speeds of ranks, None: equal ones do."""
    known = [speed for speed in speeds if speed]
    if len(known) < len(speeds) or len(known) < 2 or max(known) <= _ALIKE * min(known):
        return None
    ratios = [speed / min(known) for speed in known]
    candidates = [[round(scale * ratio) for ratio in ratios] for scale in range(1, _LARGEST + 1)]
    return min(candidates, key=lambda weights: (_unused(weights, known), max(weights)))


def _unused(weights: Sequence[int], speeds: Sequence[float]) -> float:
    """Return the share of all speed that is waited away, to a twentieth: a step ends with the last.

    A twentieth, so that large weights win nothing by being a little nearer.
    """
    step = max(weight / speed for weight, speed in zip(weights, speeds, strict=True))
    return round(20 * (1 - sum(weights) / step / sum(speeds)))
