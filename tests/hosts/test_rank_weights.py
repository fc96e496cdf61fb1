"""Shares of rows for ranks that compute at different speeds."""

import pytest

from thunder.hosts import rank_weights


@pytest.mark.parametrize(
    ("speeds", "weights"),
    [
        ([100, 200], [1, 2]),
        ([205, 100], [2, 1]),
        ([100, 150], [2, 3]),
        ([100, 120], None),
        ([100, None], None),
        ([100], None),
        ([], None),
        ([100, 100, 300], [1, 1, 3]),
    ],
)
def test_shares_of_rows_follow_speeds_that_differ(
    speeds: list[float | None], weights: list[int] | None
) -> None:
    assert rank_weights.advised(speeds) == weights
