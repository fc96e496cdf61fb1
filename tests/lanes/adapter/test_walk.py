"""At which steps a walk stops, by what an attempt before it left."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from thunder.lanes.adapter import job
from thunder.training import metrics

VERIFIED = {"step": 10, "train_loss": 2.0, "valid_loss": 3.0}


@pytest.mark.parametrize(
    ("row", "start", "window", "stops"),
    [
        (VERIFIED, 10, 10, [20, 30]),
        ({"step": 10, "valid_loss": 3.0}, 10, 10, [10, 20, 30]),  # killed before it was verified
        ({"step": 10, "valid_loss": 3.0}, 10, None, [30]),
        ({"step": 7, "loss": 3.0}, 7, 10, [10, 20, 30]),
        ({"step": 30, "valid_loss": 3.0}, 30, 10, [30]),
    ],
)
def test_a_window_that_was_never_verified_is_finished_first(
    tmp_path: Path, row: dict[str, Any], start: int, window: int | None, stops: list[int]
) -> None:
    metrics.add(tmp_path, row)
    context: Any = SimpleNamespace(folder=tmp_path, config={"runtime": {"window": window}})
    assert job._stops(context, start, 30) == stops
