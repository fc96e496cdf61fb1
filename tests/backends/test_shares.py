import mlx.core as mx
import pytest

from thunder.backends.mlx import shares


@pytest.mark.parametrize(("size", "world"), [(8, 2), (7, 3), (384, 5), (3, 3)])
def test_shares_follow_each_other_and_differ_by_one_at_most(size: int, world: int) -> None:
    spans = [shares.of(size, rank, world) for rank in range(world)]
    assert [n for start, stop in spans for n in range(start, stop)] == list(range(size))
    counts = {stop - start for start, stop in spans}
    assert min(counts) >= 1
    assert max(counts) - min(counts) <= 1


def test_a_number_outside_a_share_has_no_place_in_it() -> None:
    mine, places = shares.is_in(mx.array([3, 4, 6, 7]), 4, 7)
    assert mine.tolist() == [False, True, True, False]
    assert places.tolist() == [0, 0, 2, 0]
