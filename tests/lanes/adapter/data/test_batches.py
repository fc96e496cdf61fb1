# ruff: noqa: F811  (an imported fixture and the argument it fills)
import numpy as np
import pytest
from adapter_fixtures import Tiny, tiny  # noqa: F401

from thunder.lanes.adapter.data import batches, token_rows

LENGTHS = tuple(int(n) for n in np.random.default_rng(0).integers(5, 200, 301))


def epoch_rows(order: batches.Order, epoch: int) -> list[int]:
    first = epoch * order.batches_per_epoch
    steps = range(first, first + order.batches_per_epoch)
    return [int(n) for step in steps for n in order.batch(step) if n != batches.NO_ROW]


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_every_row_comes_once_an_epoch(epoch: int) -> None:
    assert sorted(epoch_rows(batches.Order(LENGTHS, 0, 4), epoch)) == list(range(301))


def test_order_depends_on_step_and_seed_alone() -> None:
    rows = [batches.Order(LENGTHS, 3, 4).batch(step).tolist() for step in (200, 5, 80)]
    again = [batches.Order(LENGTHS, 3, 4).batch(step).tolist() for step in (200, 5, 80)]
    other = [batches.Order(LENGTHS, 4, 4).batch(step).tolist() for step in (200, 5, 80)]
    assert rows == again != other


def test_epochs_differ_in_their_batches() -> None:
    order = batches.Order(LENGTHS, 0, 4)
    assert epoch_rows(order, 0) != epoch_rows(order, 1)


def test_rows_of_a_batch_have_like_lengths() -> None:
    order = batches.Order(LENGTHS, 0, 4)
    known = np.array(LENGTHS)
    padded = used = 0
    for step in range(order.batches_per_epoch):
        rows = [n for n in order.batch(step) if n != batches.NO_ROW]
        padded += known[rows].max() * len(rows)
        used += known[rows].sum()
    assert used / padded > 0.9


def test_split_gives_each_rank_its_share_of_rows() -> None:
    numbers = batches.Order(LENGTHS, 0, 6).batch(3)
    shares = batches.split(numbers, LENGTHS, [2, 1])
    assert [len(share) for share in shares] == [4, 2]
    assert sorted(np.concatenate(shares)) == sorted(numbers)


def test_split_gives_equal_ranks_near_equal_work() -> None:
    order = batches.Order(LENGTHS, 0, 8)
    known = np.append(np.array(LENGTHS), 0)
    work = np.array(
        [
            [known[s].sum() for s in batches.split(order.batch(n), LENGTHS, [1, 1])]
            for n in range(30)
        ]
    )
    assert work.max(axis=1).sum() / work.mean(axis=1).sum() < 1.03


def test_collate_supervises_the_assistant_alone(tiny: Tiny) -> None:
    rows = token_rows.load(tiny.tokens / "train.npz")
    batch = batches.collate(rows, np.array([3, 8]))
    supervised = batch.targets[batch.weights == 1]
    expected = np.concatenate([rows.row(n)[rows.starts[n] :] for n in (3, 8)])
    assert supervised.tolist() == expected.tolist()
    flat = batch.inputs.reshape(-1)
    before = np.concatenate([rows.row(n)[rows.starts[n] - 1 : -1] for n in (3, 8)])
    assert flat[batch.positions[batch.weights == 1]].tolist() == before.tolist()


def test_shapes_lie_on_the_grid(tiny: Tiny) -> None:
    rows = token_rows.load(tiny.tokens / "train.npz")
    batch = batches.collate(rows, np.array([0, 1, 2]), batches.Grid(32, 64))
    assert batch.inputs.shape[1] % 32 == 0
    assert len(batch.positions) % 64 == 0


def test_a_missing_row_counts_nothing(tiny: Tiny) -> None:
    rows = token_rows.load(tiny.tokens / "train.npz")
    alone = batches.collate(rows, np.array([batches.NO_ROW]))
    assert (alone.supervised, alone.tokens) == (0, 0)
    both = batches.collate(rows, np.array([4, batches.NO_ROW]))
    assert both.supervised == rows.supervised[4]


def test_evaluation_shows_every_row_once(tiny: Tiny) -> None:
    rows = token_rows.load(tiny.tokens / "valid.npz")
    assert sorted(np.concatenate(batches.evaluation(rows))) == list(range(len(rows)))
