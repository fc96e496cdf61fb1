"""Which rows form which batch of an epoch, and what a batch is made of."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from thunder.lanes.asr.features.store import Store
    from thunder.lanes.asr.utterances import Utterances

T = TypeVar("T")
Rows = NDArray[np.int64]

POOL_BATCHES = 64  # sorted together: like lengths meet, and an epoch still differs from the last
AHEAD = 3
_WAIT_SECONDS = 0.1


@dataclass(frozen=True)
class Batch:
    """Utterances side by side, padded with zeros at the end."""

    rows: Rows  # positions in the split
    frames: Tensor  # (rows, frames, dims) float16, as stored
    lengths: Tensor  # (rows,) frames that the model is to count
    spoken: Tensor  # (rows,) frames that were stored; less than `lengths` where rows are padded
    targets: Tensor  # the classes of all rows, one row after another
    target_lengths: Tensor  # (rows,)


def epoch(
    lengths: Rows, rows: Rows, size: int, *, bucketed: bool, chance: np.random.Generator
) -> list[Rows]:
    """Return the batches of an epoch: every row once, the last batch of the draw may be smaller.

    Args:
        lengths: frames of every row of the split.
        rows: the rows that take part.
        bucketed: whether rows of like length share a batch; else they meet by chance.
    """
    mixed = rows[chance.permutation(len(rows))]
    if not bucketed:
        return _cut(mixed, size)
    pools = [
        pool[np.argsort(lengths[pool], kind="stable")] for pool in _cut(mixed, POOL_BATCHES * size)
    ]
    batches = [batch for pool in pools for batch in _cut(pool, size)]
    return [batches[number] for number in chance.permutation(len(batches))]


def count(rows: int, size: int) -> int:
    """Return how many batches an epoch has."""
    return -(-rows // size)


def evaluation(lengths: Rows, size: int) -> list[Rows]:
    """Return batches of all rows, by length; they depend on the rows alone, never on the ranks."""
    return _cut(np.argsort(lengths, kind="stable"), size)


def share(batch: Rows, rank: int, world: int) -> Rows:
    """Return the rows of a batch that a rank computes, of like work for every rank."""
    return batch[rank::world]


def collate(store: "Store", utterances: "Utterances", rows: Rows, window: int | None) -> Batch:
    """Return rows as tensors.

    Args:
        window: frames that every row is padded to and that all count; None: the longest row's,
            and each row counts its own.
    """
    spoken = utterances.frames[rows]
    frames = np.zeros((len(rows), window or int(spoken.max()), store.dims), np.float16)
    for place, row, length in zip(frames, utterances.rows[rows], spoken, strict=True):
        place[:length] = store.frames(int(row))[:length]
    targets = [utterances.targets[row] for row in rows]
    lengths = np.full(len(rows), window) if window else spoken
    return Batch(
        rows=rows,
        frames=torch.from_numpy(frames),
        lengths=torch.from_numpy(lengths),
        spoken=torch.from_numpy(spoken),
        targets=torch.tensor([*chain.from_iterable(targets)], dtype=torch.int64),
        target_lengths=torch.tensor([len(target) for target in targets], dtype=torch.int64),
    )


def ahead(made: Iterable[T], depth: int = AHEAD) -> Iterator[T]:
    """Yield what an iterable makes, made in a thread while the taker is still busy."""
    ready: Queue[tuple[T | None, BaseException | None]] = Queue(depth)
    stop = Event()
    thread = Thread(target=_fill, args=(iter(made), ready, stop), daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stop.set()
        with suppress(Empty):
            ready.get_nowait()
        thread.join()


def _fill(
    made: Iterator[T], ready: "Queue[tuple[T | None, BaseException | None]]", stop: Event
) -> None:
    try:
        for item in made:
            if not _put(ready, (item, None), stop):
                return
        _put(ready, (None, None), stop)
    except BaseException as error:  # the taker raises it
        _put(ready, (None, error), stop)


def _put(
    ready: "Queue[tuple[T | None, BaseException | None]]",
    item: tuple[T | None, BaseException | None],
    stop: Event,
) -> bool:
    while not stop.is_set():
        with suppress(Full):
            ready.put(item, timeout=_WAIT_SECONDS)
            return True
    return False


def _cut(rows: Rows, size: int) -> list[Rows]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
