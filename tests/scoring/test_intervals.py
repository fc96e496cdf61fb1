"""The bootstrap: it covers, it repeats to the bit, it stays small, and it knows its extremes."""

import tracemalloc

import numpy as np
import pytest

from thunder.ground.errors import ThunderError
from thunder.scoring import Counts, intervals, summary

ROWS = 29_060


def _counts(edits: object, chars: object) -> Counts:
    columns = np.asarray(edits, dtype=np.int64), np.asarray(chars, dtype=np.int64)
    return Counts(*columns, *columns)


def _drawn(rows: int, rate: float, seed: int) -> Counts:
    rng = np.random.Generator(np.random.PCG64(seed))
    chars = rng.integers(10, 90, rows)
    # Rows differ in difficulty, as utterances do: the spread is over rows, not characters.
    return _counts(rng.binomial(chars, np.clip(rng.normal(rate, 0.1, rows), 0, 1)), chars)


def test_the_interval_of_a_known_sample_is_golden() -> None:
    """Made of PCG64's raw numbers, so no version of numpy changes it; else all tables change."""
    counted = _counts([0, 1, 2, 3, 4, 5, 6, 7], [10, 11, 12, 13, 14, 15, 16, 17])
    assert intervals.bootstrap(counted, 1000, 0) == (0.16666666666666666, 0.33347107438016516)
    assert intervals.bootstrap(counted, 1000, 0) == intervals.bootstrap(counted, 1000, 0)
    assert intervals.bootstrap(counted, 1000, 0) != intervals.bootstrap(counted, 1000, 1)


def test_the_interval_is_that_of_a_plain_resampling() -> None:
    counted, rng = _drawn(400, 0.3, 0), np.random.Generator(np.random.PCG64(9))
    rows = [rng.integers(0, 400, 400) for _ in range(4000)]
    plain = [counted.edits[drawn].sum() / counted.chars[drawn].sum() for drawn in rows]
    ours = intervals.bootstrap(counted, 4000)
    assert ours == pytest.approx(tuple(np.percentile(plain, [2.5, 97.5])), abs=0.0015)


def test_the_interval_holds_its_value_and_covers_the_true_rate() -> None:
    covered = 0
    for seed in range(200):
        counted = _drawn(200, 0.3, seed)
        low, high = intervals.bootstrap(counted, 300, seed)
        assert low < summary(counted)["cer_micro"] < high
        covered += low <= 0.3 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_more_rows_make_a_narrower_interval() -> None:
    widths = []
    for rows in (100, 10_000):
        low, high = intervals.bootstrap(_drawn(rows, 0.3, 0))
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(10, rel=0.3)


def test_counts_that_are_resampled_together_get_the_intervals_they_have_alone() -> None:
    counted = [_drawn(500, rate, seed) for rate, seed in ((0.1, 0), (0.2, 1), (0.3, 2))]
    together = intervals.bootstrap_all(counted)
    assert together == [intervals.bootstrap(counts) for counts in counted]


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = _drawn(100, 0.3, 0)
    whole = intervals.bootstrap(counted)
    monkeypatch.setattr(intervals, "_MOST_DRAWS", 250)
    assert intervals.bootstrap(counted) == whole


def test_every_row_is_drawn_as_often_as_any_other() -> None:
    times = sum(weights.sum(axis=0) for weights in intervals._weights(7, 20_000, 3))
    assert times.sum() == 7 * 20_000
    assert times == pytest.approx(np.full(7, 20_000), rel=0.03)


def test_one_row_has_no_spread() -> None:
    assert intervals.bootstrap(_counts([1], [4])) == (0.25, 0.25)


def test_the_bootstrap_of_a_test_split_stays_small() -> None:
    counted = _drawn(ROWS, 0.2, 0)
    tracemalloc.start()
    intervals.paired(counted, counted, 1000, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # a matrix of all draws would take 232 MB


def test_the_same_twice_is_no_difference() -> None:
    counted = _drawn(300, 0.2, 0)
    assert intervals.paired(counted, counted) == {
        "difference": 0.0, "low": 0.0, "high": 0.0, "p_value": 1.0,
    }  # fmt: skip


def test_better_in_every_row_is_the_smallest_p_value() -> None:
    worse = _drawn(300, 0.3, 0)
    better = _counts(worse.edits // 2, worse.chars)
    compared = intervals.paired(better, worse)
    assert compared["p_value"] == 2 / 1001
    assert compared["low"] < compared["difference"] < compared["high"] < 0
    turned = intervals.paired(worse, better)
    assert turned["difference"] == -compared["difference"]
    assert (turned["low"], turned["high"]) == pytest.approx((-compared["high"], -compared["low"]))


def test_pairing_sees_what_two_intervals_do_not() -> None:
    first = _drawn(2000, 0.3, 0)
    second = _counts(first.edits + (np.arange(2000) % 5 == 0), first.chars)
    apart = [intervals.bootstrap(counts) for counts in (first, second)]
    assert apart[0][1] > apart[1][0]  # they overlap
    assert intervals.paired(first, second)["p_value"] < 0.01


def test_chance_alone_is_rarely_significant() -> None:
    rng, p_values = np.random.Generator(np.random.PCG64(5)), []
    for seed in range(100):
        one, other = _drawn(150, 0.3, seed), None
        swap = rng.random(150) < 0.5
        noise = rng.integers(-2, 3, 150)
        other = _counts(np.clip(one.edits + np.where(swap, noise, -noise), 0, None), one.chars)
        p_values.append(intervals.paired(one, other, 300, seed)["p_value"])
    assert np.mean(np.array(p_values) < 0.05) <= 0.15
    assert 0.3 < np.mean(p_values) < 0.7


def test_two_scripts_are_paired_over_characters_of_their_own() -> None:
    nko, latin = _counts([1, 2], [10, 10]), _counts([1, 2], [20, 20])
    assert intervals.paired(nko, latin)["difference"] == pytest.approx(3 / 20 - 3 / 40)


@pytest.mark.parametrize(
    ("rows", "samples", "match"),
    [(0, 10, "10 samples of 0 rows; at least one each"), (3, 0, "0 samples of 3 rows")],
)
def test_nothing_to_resample_is_refused(rows: int, samples: int, match: str) -> None:
    with pytest.raises(ThunderError, match=match):
        intervals.bootstrap(_drawn(rows, 0.2, 0), samples)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ThunderError, match="seed -1; it must be 0 or more"):
        intervals.bootstrap(_drawn(3, 0.2, 0), 10, -1)


def test_other_rows_are_refused() -> None:
    with pytest.raises(ThunderError, match=r"counts of \[2, 3\] rows; the same rows are needed"):
        intervals.paired(_drawn(3, 0.2, 0), _drawn(2, 0.2, 0))
