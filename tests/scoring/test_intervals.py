"""The bootstrap: it covers, it repeats to the bit, it stays small, and it knows its extremes."""

import tracemalloc

import numpy as np
import pytest

from thunder.ground.errors import ThunderError
from thunder.scoring import Counts, intervals, permutation, summary
from thunder.scoring.score import grouped

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


def test_the_interval_of_a_difference_is_around_it_and_turns_with_it() -> None:
    worse = _drawn(300, 0.3, 0)
    better = _counts(worse.edits // 2, worse.chars)
    low, high = intervals.paired(better, worse)
    measured = summary(better)["cer_micro"] - summary(worse)["cer_micro"]
    assert low < measured < high < 0
    assert intervals.paired(worse, better) == pytest.approx((-high, -low))
    assert intervals.paired(worse, worse) == (0.0, 0.0)


def test_pairing_sees_what_two_intervals_do_not() -> None:
    first = _drawn(2000, 0.3, 0)
    second = _counts(first.edits + (np.arange(2000) % 5 == 0), first.chars)
    apart = [intervals.bootstrap(counts) for counts in (first, second)]
    assert apart[0][1] > apart[1][0]  # they overlap
    assert intervals.paired(first, second)[1] < 0


def test_rows_of_one_cluster_are_drawn_together() -> None:
    """Ten rows a speaker that err alike are worth one: the interval is as of ten times fewer."""
    speakers = _drawn(60, 0.3, 0)
    rows = _counts(np.repeat(speakers.edits, 10), np.repeat(speakers.chars, 10))
    clusters = [f"speaker {number}" for number in np.repeat(np.arange(60), 10)]
    alone, together = (
        high - low for low, high in map(intervals.bootstrap, (rows, grouped(rows, clusters)))
    )
    assert together / alone == pytest.approx(10**0.5, rel=0.15)
    assert summary(grouped(rows, clusters))["cer_micro"] == summary(rows)["cer_micro"]


@pytest.mark.parametrize("count", [6, 8, 12, 25])
def test_the_interval_of_a_mean_covers_it(count: int) -> None:
    covered = 0
    for seed in range(400):
        values = np.random.Generator(np.random.PCG64(seed)).standard_t(3, count)
        interval = intervals.of_mean(values.tolist())
        assert interval is not None
        covered += interval[0] <= 0 <= interval[1]
    assert 0.90 <= covered / 400 <= 0.99


def test_the_interval_of_a_mean_excludes_zero_where_the_test_rejects_it() -> None:
    found = set()
    for seed in range(100):
        values = np.random.Generator(np.random.PCG64(seed)).normal(1, 1, 7).tolist()
        low, high = intervals.of_mean(values) or (-1, 1)
        is_apart = permutation.mean_differs(values).p_value < permutation.LEVEL
        assert (low > 0 or high < 0) == is_apart
        found.add(is_apart)
    assert found == {True, False}


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_of_five_values_there_is_no_interval(count: int) -> None:
    assert intervals.of_mean([0.1] * count) is None


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
