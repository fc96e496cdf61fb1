"""Which rows a step trains on, as a pure function of the step: no data order is ever saved."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thunder.lanes.adapter.data.token_rows import Rows

Numbers = NDArray[np.int64]

# Like lengths share a batch only within so many batches, so that epochs still differ.
BUCKET_BATCHES = 64
NO_ROW = -1
# At most so many tokens in an evaluation batch: a large vocabulary writes 1 MB of logits for each.
EVALUATION_TOKENS = 512


@dataclass(frozen=True)
class Grid:
    """The multiples that shapes are padded to."""

    length: int
    positions: int


# A new shape costs a compilation on a GPU; on a CPU nothing, so that any padding is a loss.
CPU, GPU = Grid(1, 1), Grid(32, 64)


@dataclass(frozen=True)
class Batch:
    """The padded arrays of one rank's share of a step.

    Args:
        inputs: rows × length.
        positions: the supervised places, counted through the flattened `inputs`.
        targets: the token that follows at each place.
        weights: 1 for a place that counts and 0 for padding.
        tokens: input tokens that are not padding.
    """

    inputs: NDArray[np.int32]
    positions: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]
    tokens: int

    @property
    def supervised(self) -> int:
        """Return how many places count."""
        return int(self.weights.sum())


@dataclass(frozen=True)
class Order:
    """The endless order of global batches over the rows of a split."""

    lengths: tuple[int, ...]
    seed: int
    batch_rows: int

    @property
    def batches_per_epoch(self) -> int:
        """Return how many batches show every row once."""
        return ceil(len(self.lengths) / self.batch_rows)

    def batch(self, step: int) -> Numbers:
        """Return the rows of a step, counted from 0; `NO_ROW` fills the last batch of an epoch."""
        epoch, number = divmod(step, self.batches_per_epoch)
        return _epoch(self, epoch)[number]


# The epoch at hand and the next one.
@lru_cache(maxsize=2)
def _epoch(order: Order, epoch: int) -> Numbers:
    chance = np.random.default_rng([order.seed, epoch])
    lengths = np.array(order.lengths)
    mixed = chance.permutation(len(lengths))
    bucket = BUCKET_BATCHES * order.batch_rows
    sorted_rows = [
        part[np.argsort(lengths[part], kind="stable")]
        for part in np.split(mixed, range(bucket, len(mixed), bucket))
    ]
    rows = np.concatenate(sorted_rows)
    missing = order.batches_per_epoch * order.batch_rows - len(rows)
    batches = np.concatenate([rows, np.full(missing, NO_ROW)]).reshape(-1, order.batch_rows)
    return batches[chance.permutation(len(batches))]


def split(numbers: Numbers, lengths: Sequence[int], weights: Sequence[int]) -> list[Numbers]:
    """Deal the rows of a global batch to the ranks, longest first, for near equal work."""
    padded = np.append(np.asarray(lengths), 0)  # NO_ROW reads the last entry
    ordered = numbers[np.argsort(-padded[numbers], kind="stable")]
    turn = [rank for rank, weight in enumerate(weights) for _ in range(weight)]
    owners = np.resize([*turn, *reversed(turn)], len(ordered))
    return [ordered[owners == rank] for rank in range(len(weights))]


def collate(rows: Rows, numbers: Numbers, grid: Grid = CPU) -> Batch:
    """Return padded arrays of the grid's shapes for some rows."""
    tokens = [rows.row(n) if n != NO_ROW else np.zeros(1, np.int32) for n in numbers]
    starts = [int(rows.starts[n]) if n != NO_ROW else 1 for n in numbers]
    length = _up(max(len(row) - 1 for row in tokens), grid.length)
    inputs = np.zeros((len(tokens), length), np.int32)
    for place, row in zip(inputs, tokens, strict=True):
        place[: len(row) - 1] = row[:-1]
    positions = np.concatenate(
        [
            n * length + np.arange(s - 1, len(r) - 1)
            for n, (r, s) in enumerate(zip(tokens, starts, strict=True))
        ]
    )
    targets = np.concatenate([row[start:] for row, start in zip(tokens, starts, strict=True)])
    places = _up(len(positions), grid.positions)
    return Batch(
        inputs,
        _padded(positions, places, np.int32),
        _padded(targets, places, np.int32),
        _padded(np.ones(len(positions)), places, np.float32),
        sum(len(row) - 1 for row in tokens),
    )


def evaluation(rows: Rows) -> list[Numbers]:
    """Return the batches of an evaluation; they depend on the rows alone, never on the ranks."""
    batches: list[Numbers] = []
    lengths = rows.lengths
    batch: list[int] = []
    for number in np.argsort(lengths, kind="stable"):
        if batch and (len(batch) + 1) * lengths[number] > EVALUATION_TOKENS:
            batches.append(np.array(batch))
            batch = []
        batch.append(int(number))
    return [*batches, np.array(batch)]


def owner(number: int, weights: Sequence[int]) -> int:
    """Return the rank that computes an evaluation batch."""
    turn = [rank for rank, weight in enumerate(weights) for _ in range(weight)]
    return turn[number % len(turn)]


def _up(number: int, multiple: int) -> int:
    return max(1, ceil(number / multiple)) * multiple


def _padded(values: NDArray[Any], size: int, dtype: type) -> NDArray[Any]:
    padded: NDArray[Any] = np.zeros(size, dtype)
    padded[: len(values)] = values
    return padded
