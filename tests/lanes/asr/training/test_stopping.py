import numpy as np
import pytest

from thunder.lanes.asr.training import stopping
from thunder.lanes.asr.training.stopping import Standing

ROWS = 400


def losses(mean: float, spread: float = 0.5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, ROWS).astype(np.float32)


def test_a_small_gain_on_nearly_every_row_is_an_improvement() -> None:
    before = losses(1.0)
    assert stopping.is_improvement(before - losses(0.01, 0.02, 1), before)


def test_the_same_gain_out_of_rows_that_go_both_ways_is_noise() -> None:
    before = losses(1.0)
    gain = losses(0.0, 0.5, 1)
    gain += 0.01 - gain.mean()
    now = before - gain
    assert now.mean() < before.mean()
    assert not stopping.is_improvement(now, before)


def test_chance_alone_passes_for_an_improvement_once_in_twenty() -> None:
    before = losses(1.0)
    draws = [stopping.is_improvement(before + losses(0.0, 0.3, n), before) for n in range(1, 1001)]
    assert 0.03 < np.mean(draws) < 0.07


def test_worse_and_equal_are_no_improvements() -> None:
    before = losses(1.0)
    assert not stopping.is_improvement(before + 0.1, before)
    assert not stopping.is_improvement(before, before)


def test_a_single_row_has_no_spread_so_its_difference_decides() -> None:
    assert stopping.is_improvement(np.float32([0.9]), np.float32([1.0]))
    assert not stopping.is_improvement(np.float32([1.0]), np.float32([1.0]))


def test_other_rows_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        stopping.is_improvement(losses(1.0), losses(1.0)[1:])
    with pytest.raises(ValueError, match="no pairs"):
        stopping.is_improvement(np.zeros(0, np.float32), np.zeros(0, np.float32))


def walked(epochs: list[np.ndarray]) -> Standing:
    standing = None
    for number, losses in enumerate(epochs, 1):
        standing = stopping.advance(standing, number, losses)
    assert standing is not None
    return standing


def test_best_is_the_lowest_mean_even_when_it_is_not_firm() -> None:
    first = losses(1.0)
    noise = losses(0.0, 0.5, 1)
    standing = walked([first, first + noise - noise.mean() - 0.001])
    assert (standing.best_epoch, standing.firm_epoch) == (2, 1)
    assert standing.best_loss == pytest.approx(first.mean() - 0.001, abs=1e-6)


def test_gains_too_small_to_see_one_by_one_count_when_they_add_up() -> None:
    first = losses(1.0)
    noise = [losses(0.0, 0.2, n) for n in range(1, 9)]
    steps = [first + one - one.mean() - 0.008 * n for n, one in enumerate(noise, 1)]
    one_by_one = [
        stopping.is_improvement(b, a) for a, b in zip([first, *steps], steps, strict=False)
    ]
    assert not any(one_by_one)
    assert walked([first, *steps]).firm_epoch > 1


def test_patience_counts_from_the_last_firm_epoch() -> None:
    first = losses(1.0)
    standing = walked([first + 1, first, first + 0.1, first + 0.1])
    assert standing.firm_epoch == 2
    assert not stopping.is_spent(standing, 4, 3)
    assert stopping.is_spent(standing, 5, 3)


def test_a_worse_epoch_changes_nothing() -> None:
    first = losses(1.0)
    before = walked([first])
    assert stopping.advance(before, 2, first + 0.2) == before
