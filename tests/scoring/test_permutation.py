"""The sign-flip test: exact for few units, right for many, and fooled as seldom as it says."""

import time
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from thunder.ground.errors import ThunderError
from thunder.scoring import Counts, permutation
from thunder.scoring.score import grouped

Ints = npt.NDArray[np.int64]


def _counts(edits: object, chars: object) -> Counts:
    columns = np.asarray(edits, dtype=np.int64), np.asarray(chars, dtype=np.int64)
    return Counts(*columns, *columns)


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def _alike(rng: np.random.Generator, units: int, shortest: int = 20) -> tuple[Counts, Counts]:
    """Draw two sides of which neither is better; difficulty has a heavy tail, as of utterances."""
    chars = rng.integers(shortest, 15 * shortest, units)
    hard = chars * rng.lognormal(-1.6, 1.0, units)
    ours, theirs = rng.poisson(hard * rng.gamma(2, 0.5, (2, units)))
    return _counts(ours, chars), _counts(theirs, chars)


@pytest.mark.parametrize(
    ("units", "trials", "samples"),
    [
        (8, 3000, 10_000),
        (16, 3000, 1999),
        (51, 3000, 1999),
        pytest.param(300, 2000, 999, marks=pytest.mark.slow),
    ],
)
def test_chance_alone_is_significant_once_in_twenty(units: int, trials: int, samples: int) -> None:
    rng = _generator(1)
    fooled = sum(
        permutation.rates_differ(*_alike(rng, units), samples, seed).p_value < 0.05
        for seed in range(trials)
    )
    assert fooled / trials == pytest.approx(0.05, abs=0.01)


def test_short_rows_that_often_tie_make_it_careful_and_never_bold() -> None:
    rng = _generator(2)
    found = [permutation.rates_differ(*_alike(rng, 8, 4)).p_value < 0.05 for _ in range(2000)]
    assert np.mean(found) < 0.05


def test_rows_of_one_speaker_fool_it_unless_the_speaker_is_the_unit() -> None:
    rng, fooled = _generator(3), {"rows": 0, "speakers": 0}
    speakers = [f"speaker {number}" for number in np.repeat(np.arange(15), 20)]
    for seed in range(1000):
        chars = rng.integers(20, 100, 300)
        likes = np.repeat(rng.lognormal(0, 0.5, (2, 15)), 20, axis=1)  # of a side, for a voice
        both = [_counts(edits, chars) for edits in rng.poisson(chars * 0.2 * likes)]
        by_speaker = [grouped(side, speakers) for side in both]
        for name, sides in (("rows", both), ("speakers", by_speaker)):
            fooled[name] += permutation.rates_differ(*sides, 999, seed).p_value < 0.05
    assert fooled["rows"] / 1000 > 0.3
    assert fooled["speakers"] / 1000 == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("has_other_lengths", [False, True])
def test_of_few_units_every_swap_is_tried(has_other_lengths: bool) -> None:
    rng = _generator(4)
    chars = rng.integers(10, 90, (2, 9))
    chars[1] = chars[1] if has_other_lengths else chars[0]
    edits = rng.binomial(chars, [[0.3], [0.2]])
    sizes = []
    for swap in product([False, True], repeat=9):
        swapped = [np.where(swap, side[::-1], side).sum(axis=1) for side in (edits, chars)]
        sizes.append(abs(swapped[0][0] / swapped[1][0] - swapped[0][1] / swapped[1][1]))
    plain = np.mean(np.array(sizes) >= sizes[0] - 1e-12)
    sides = [_counts(*side) for side in zip(edits, chars, strict=True)]
    assert permutation.rates_differ(*sides).p_value == pytest.approx(plain)


def test_random_swaps_come_near_to_all() -> None:
    for seed in range(5):
        sides = _alike(_generator(seed), 13, 200)
        exact, drawn = (permutation.rates_differ(*sides, samples=n) for n in (1 << 13, 8191))
        assert drawn.p_value == pytest.approx(exact.p_value, abs=0.02)
        assert drawn.smallest == 1 / 8192 < exact.smallest


def test_more_swaps_than_a_group_has_units_are_independent() -> None:
    draws = permutation._drawn(4000, 3, 0)
    bits = np.unpackbits(draws[:, :, None], axis=2).transpose(0, 2, 1).reshape(24, 4000) * 2.0 - 1
    assert np.abs(bits @ bits.T / 4000 - np.eye(24)).max() < 0.06


def test_eight_rows_of_which_seven_are_better_may_be_chance() -> None:
    """A paired bootstrap said 0.008 of such rows."""
    first, second = (
        _counts([1, 0, 2, 1, 0, 3, 1, 9], [20] * 8),
        _counts([2] * 5 + [4, 2, 9], [20] * 8),
    )
    assert permutation.rates_differ(first, second).p_value == 2 / 2**6  # two rows tie
    worse = _counts([*first.edits[:7], 14], [20] * 8)
    assert permutation.rates_differ(worse, second).p_value > 0.05


@pytest.mark.parametrize("units", [1, 5, 8, 2000])
def test_the_smallest_p_value_is_that_of_one_side_always_better(units: int) -> None:
    chars = np.full(units, 50)
    found = permutation.rates_differ(_counts(chars // 5, chars), _counts(chars // 4, chars))
    assert found.p_value == found.smallest == max(2 * 0.5**units, 1 / 10_001)


def test_the_same_twice_is_no_difference() -> None:
    one, _ = _alike(_generator(6), 300)
    assert permutation.rates_differ(one, one) == permutation.Tested(1.0, 1.0)


def test_a_difference_of_pairs_is_tested_over_the_pairs() -> None:
    assert permutation.mean_differs([0.01, 0.02, 0.03]).p_value == 2 / 8
    assert permutation.mean_differs([0.01, 0.02, -0.03]).p_value == 1.0
    assert permutation.mean_differs([-0.01] * 6).p_value == 2 / 64 < permutation.LEVEL
    assert permutation.mean_differs([-0.01] * 5).smallest > permutation.LEVEL


def test_the_same_seed_gives_the_same_p_value() -> None:
    sides = _alike(_generator(7), 100)
    first, again, other = (permutation.rates_differ(*sides, 999, seed) for seed in (0, 0, 1))
    assert first == again != other


def test_ten_thousand_swaps_of_a_large_split_take_no_time() -> None:
    sides = _alike(_generator(8), 2000)
    begun = time.perf_counter()
    permutation.rates_differ(*sides)
    assert time.perf_counter() - begun < 1  # measured: 0.03 s


def test_holm_multiplies_the_smallest_most() -> None:
    assert permutation.holm([0.01, 0.04, 0.03, 0.005]) == [
        pytest.approx(0.03), pytest.approx(0.06), pytest.approx(0.06), pytest.approx(0.02)
    ]  # fmt: skip
    assert permutation.holm([0.9, None, 0.8]) == [1.0, None, 1.0]
    assert permutation.holm([]) == []


def test_units_that_are_not_pairs_are_refused() -> None:
    with pytest.raises(ThunderError, match="a paired test of 2 and 3 units"):
        permutation.rates_differ(_counts([1, 2], [3, 3]), _counts([1, 2, 3], [3, 3, 3]))
    with pytest.raises(ThunderError, match="0 and 0 units"):
        permutation.rates_differ(_counts([], []), _counts([], []))
