"""What ranks tell each other: sums, words and an exact broadcast, always on the CPU's stream."""

from collections.abc import Callable
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
    return _exchange(mx.distributed.all_sum, values, group)


def all_gather(values: mx.array, group: Any) -> mx.array:
    """Return the values of every rank, one row each; a gradient goes back to one's own alone."""
    return _exchange(mx.distributed.all_gather, values[None], group)


def gather(words: Words, group: Any) -> Words:
    """Return the words of every rank, one row each."""
    if group is None:
        return words[None]
    gathered = all_gather(mx.array(words), group)
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


def _exchange(collective: Callable[..., mx.array], values: mx.array, group: Any) -> mx.array:
    on_gpu = mx.default_device() == mx.gpu
    if on_gpu:
        # A GPU's command buffer may wait five seconds, a rank longer for another: none may wait.
        mx.eval(values)
    result = collective(values, group=group, stream=mx.cpu)
    if on_gpu:
        mx.eval(result)
    return result
