"""What ranks tell each other: sums, words and an exact broadcast, always on the CPU's stream."""

from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]


def join() -> Any:
    """Join the ring that the environment describes."""
    # Not strict, a failure would mean a silent group of one: two trainings into one folder.
    return mx.distributed.init(backend="ring", strict=True)


def all_sum(values: mx.array, group: Any) -> mx.array:
    """Return the sum over all ranks."""
    return mx.distributed.all_sum(values, group=group, stream=mx.cpu)


def gather(words: Words, group: Any) -> Words:
    """Return the words of every rank, one row each."""
    if group is None:
        return words[None]
    gathered = mx.distributed.all_gather(mx.array(words)[None], group=group, stream=mx.cpu)
    mx.eval(gathered)
    return np.array(gathered)


def broadcast(words: Words, group: Any) -> Words:
    """Return rank 0's words on every rank, exact to the bit: the others add zeros as integers."""
    if group is None:
        return words
    mine = words if group.rank() == 0 else np.zeros_like(words)
    summed = all_sum(mx.array(mine), group)
    mx.eval(summed)
    return np.array(summed)
