from typing import Any

import numpy as np
import pytest
import torch

from thunder.lanes.asr.training import augment
from thunder.lanes.asr.training.augment import Masks

SETTINGS = {
    "probability": 1.0,
    "time_bands": 3,
    "time_frames": 20,
    "feature_bands": 2,
    "feature_share": 0.0625,
}
LENGTHS = np.array([200, 150, 30, 4])
DIMS = 1280


def drawn(seed: int = 0, **changes: Any) -> Masks:
    return augment.draw(LENGTHS, DIMS, SETTINGS | changes, np.random.default_rng(seed))


def bands(row: np.ndarray) -> list[int]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


def test_one_seed_hides_the_same() -> None:
    first, second, other = drawn(1), drawn(1), drawn(2)
    assert (first.frames == second.frames).all()
    assert (first.features == second.features).all()
    assert (first.frames != other.frames).any()


def test_the_bands_are_as_wide_as_published() -> None:
    lengths = np.full(500, 400)
    one = SETTINGS | {"time_bands": 1, "feature_bands": 1}
    masks = augment.draw(lengths, DIMS, one, np.random.default_rng(0))
    widths = [bands(row) for row in masks.frames]
    assert {len(band_widths) for band_widths in widths} == {1}
    assert {width for (width,) in widths} == set(range(5, 21))
    features = [bands(row)[0] for row in masks.features]
    assert (min(features), max(features)) == (20, 80)


def test_no_more_bands_than_allowed() -> None:
    counts = {len(bands(row)) for seed in range(50) for row in drawn(seed).frames[:1]}
    assert counts == {1, 2, 3}


def test_nothing_is_hidden_beyond_a_row() -> None:
    for seed in range(50):
        for row, length in zip(drawn(seed).frames, LENGTHS, strict=True):
            assert not row[length:].any()


def test_a_short_row_keeps_most_of_itself() -> None:
    for seed in range(50):
        masks = drawn(seed)
        assert masks.frames[2].sum() <= 3 * 6
        assert not masks.frames[3].any()


@pytest.mark.parametrize(
    "off",
    [
        {"probability": 0.0},
        {"time_bands": 0, "feature_bands": 0},
        {"time_frames": 0, "feature_share": 0.0},
    ],
    ids=str,
)
def test_it_can_be_switched_off(off: dict[str, Any]) -> None:
    masks = drawn(**off)
    assert not masks.frames.any()
    assert not masks.features.any()


def test_the_share_of_rows_is_the_probability() -> None:
    lengths = np.full(2000, 100)
    masks = augment.draw(lengths, 8, SETTINGS | {"probability": 0.3}, np.random.default_rng(0))
    assert masks.frames.any(axis=1).mean() == pytest.approx(0.3, abs=0.04)


def test_what_is_hidden_is_the_mean_of_the_row_and_all_else_stays() -> None:
    frames = torch.arange(2 * 4 * 3, dtype=torch.float32).reshape(2, 4, 3)
    frames[1, 2:] = 0  # two frames long
    masks = Masks(
        np.array([[False, True, False, False], [False] * 4]),
        np.array([[False] * 3, [False, False, True]]),
    )
    masked = augment.apply(frames, torch.tensor([4, 2]), masks)
    assert masked[0].tolist() == [[0, 1, 2], [4.5, 5.5, 6.5], [6, 7, 8], [9, 10, 11]]
    assert masked[1].tolist() == [[12, 13, 15.5], [15, 16, 15.5], [0, 0, 0], [0, 0, 0]]


def test_masks_reach_padded_frames_by_no_accident() -> None:
    frames = torch.ones(1, 10, 3)
    masks = Masks(np.ones((1, 4), bool), np.zeros((1, 3), bool))
    masked = augment.apply(frames * 2, torch.tensor([4]), masks)
    assert masked[0, 4:].eq(2).all()
