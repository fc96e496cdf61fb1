import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from asr_training import config, letters

from thunder.lanes.asr.training import batches

LENGTHS = np.random.default_rng(0).integers(20, 400, 4097)
ROWS = np.arange(len(LENGTHS))


def epoch(seed: int, *, bucketed: bool = True, rows: np.ndarray = ROWS) -> list[np.ndarray]:
    chance = np.random.default_rng(seed)
    return batches.epoch(LENGTHS, rows, 16, bucketed=bucketed, chance=chance)


@pytest.mark.parametrize("bucketed", [True, False])
def test_every_row_comes_once_an_epoch(bucketed: bool) -> None:
    drawn = epoch(0, bucketed=bucketed)
    assert sorted(np.concatenate(drawn)) == list(range(4097))
    assert len(drawn) == batches.count(4097, 16)
    assert sorted(map(len, drawn)) == [1] + [16] * 256


def test_only_rows_that_take_part_come() -> None:
    some = np.flatnonzero(LENGTHS > 100)
    assert sorted(np.concatenate(epoch(0, rows=some))) == some.tolist()


def test_the_order_depends_on_the_seed_alone() -> None:
    first, again, other = ([row.tolist() for row in epoch(seed)] for seed in (3, 3, 4))
    assert first == again != other


def test_rows_of_a_bucketed_batch_have_like_lengths() -> None:
    def used(drawn: list[np.ndarray]) -> float:
        return float(LENGTHS.sum() / sum(LENGTHS[row].max() * len(row) for row in drawn))

    assert used(epoch(0)) > 0.97
    assert used(epoch(0, bucketed=False)) < 0.6


def test_batches_of_short_and_long_rows_take_turns() -> None:
    means = np.array([LENGTHS[row].mean() for row in epoch(0)])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.2


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_the_ranks_share_a_batch_without_a_rest(world: int) -> None:
    batch = np.arange(100, 116)
    shares = [batches.share(batch, rank, world) for rank in range(world)]
    assert sorted(np.concatenate(shares)) == batch.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_batch_smaller_than_the_ranks_leaves_some_without_rows() -> None:
    assert [len(batches.share(np.arange(2), rank, 3)) for rank in range(3)] == [1, 1, 0]


def test_evaluation_shows_every_row_once_in_the_same_batches() -> None:
    drawn = batches.evaluation(LENGTHS, 16)
    assert sorted(np.concatenate(drawn)) == list(range(4097))
    assert [row.tolist() for row in drawn] == [r.tolist() for r in batches.evaluation(LENGTHS, 16)]


def test_collate_pads_to_the_longest_row() -> None:
    material = letters(config())
    train = material.splits["train"]
    rows = np.array([5, 2, 9])
    batch = batches.collate(material.store, train, rows, None)
    assert batch.frames.shape == (3, train.frames[rows].max(), 12)
    assert batch.lengths.tolist() == batch.spoken.tolist() == train.frames[rows].tolist()
    for place, row in enumerate(rows):
        length = train.frames[row]
        stored = torch.from_numpy(material.store.frames(train.rows[row]))
        assert batch.frames[place, :length].equal(stored)
        assert not batch.frames[place, length:].any()


def test_collate_lays_targets_end_to_end() -> None:
    material = letters(config())
    train = material.splits["train"]
    batch = batches.collate(material.store, train, np.array([5, 2]), None)
    assert batch.targets.tolist() == train.targets[5] + train.targets[2]
    assert batch.target_lengths.tolist() == [len(train.targets[5]), len(train.targets[2])]


def test_padded_rows_fill_the_window_and_all_of_it_counts() -> None:
    material = letters(config())
    batch = batches.collate(material.store, material.splits["train"], np.array([5, 2]), 100)
    assert batch.frames.shape[1] == 100
    assert batch.lengths.tolist() == [100, 100]
    assert batch.spoken.tolist() == material.splits["train"].frames[[5, 2]].tolist()


def test_what_is_made_ahead_comes_in_order() -> None:
    assert list(batches.ahead(range(1, 100))) == list(range(1, 100))
    assert list(batches.ahead([])) == []


def test_an_error_of_the_maker_reaches_the_taker() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("disk is gone")

    taken = batches.ahead(broken())
    assert next(taken) == 1
    with pytest.raises(OSError, match="disk is gone"):
        next(taken)


def test_a_taker_that_leaves_takes_the_maker_along() -> None:
    before = threading.active_count()
    made: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            made.append(1)
            yield 1

    items = batches.ahead(endless())
    next(items)
    items.close()
    assert threading.active_count() == before
    count = len(made)
    time.sleep(0.05)
    assert len(made) == count <= batches.AHEAD + 3
