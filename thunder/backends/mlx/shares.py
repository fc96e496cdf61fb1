"""Numbers of which each rank holds a share: where it lies, how all become whole, their softmax."""

from typing import Any

import mlx.core as mx

from thunder.backends.mlx import ring


def of(size: int, rank: int, world: int) -> tuple[int, int]:
    """Return where a rank's share of so many numbers begins and ends; shares differ by one."""
    return rank * size // world, (rank + 1) * size // world


def joined(share: mx.array, size: int, group: Any) -> mx.array:
    """Return all numbers of a last axis of this size, of which each rank has computed its share."""
    world = group.size()
    spans = [of(size, rank, world) for rank in range(world)]
    counts = [stop - start for start, stop in spans]
    if missing := max(counts) - share.shape[-1]:
        share = mx.pad(share, [(0, 0)] * (share.ndim - 1) + [(0, missing)])
    every = ring.all_gather(share, group)
    parts = [part[..., :count] for part, count in zip(every, counts, strict=True)]
    return mx.concatenate(parts, axis=-1)


def with_summed_gradient(values: mx.array, group: Any) -> mx.array:
    """Return the values; their gradient is the sum of what comes back on all ranks."""

    @mx.custom_function
    def unchanged(values: mx.array) -> mx.array:
        return values

    @unchanged.vjp
    def _(values: mx.array, gradient: mx.array, result: mx.array) -> mx.array:
        return ring.all_sum(gradient, group)

    summed: mx.array = unchanged(values)  # type: ignore[assignment]
    return summed


def is_in(numbers: mx.array, start: int, stop: int) -> tuple[mx.array, mx.array]:
    """Return which numbers lie in a share, and where in it; 0 for the others."""
    mine = (numbers >= start) & (numbers < stop)
    return mine, mx.where(mine, numbers - start, 0)


def cross_entropy(logits: mx.array, targets: mx.array, start: int, group: Any) -> mx.array:
    """Return the cross-entropy of each target, from this rank's share of the logits.

    Args:
        logits: targets × share, of the classes from `start` on.
        targets: the classes, counted over all ranks.
    """
    mine, places = is_in(targets, start, start + logits.shape[-1])
    own = mx.take_along_axis(logits, places[:, None], axis=-1).squeeze(-1)
    # Two numbers for each target are exchanged, never the logits, which are as wide as the table.
    sums = mx.stack([mx.logsumexp(logits, axis=-1), mx.where(mine, own, 0.0)])
    every = ring.all_gather(sums, group)
    return mx.logsumexp(every[:, 0], axis=0) - every[:, 1].sum(axis=0)
