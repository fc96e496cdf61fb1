"""SpecAugment on stored features: bands of frames and of features hidden by the row's own mean.

Park et al. 2019 (arXiv 1904.08779), without time warping.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NARROWEST = 4  # a band is at least a fourth of the widest: 5 to 20 frames, as published
LONGEST_SHARE = 0.2  # of a row's frames, for one band: a short word must not vanish


@dataclass(frozen=True)
class Masks:
    """What is hidden of a batch."""

    frames: NDArray[np.bool_]  # (rows, frames)
    features: NDArray[np.bool_]  # (rows, dims)


def draw(
    lengths: NDArray[np.int64],
    dims: int,
    settings: Mapping[str, Any],
    chance: np.random.Generator,
) -> Masks:
    """Draw the bands of a batch.

    Args:
        lengths: true frames of each row; no band reaches beyond.
        settings: `train.spec_augment` of the config.
    """
    masks = Masks(
        np.zeros((len(lengths), int(lengths.max(initial=0))), bool),
        np.zeros((len(lengths), dims), bool),
    )
    widest = round(settings["feature_share"] * dims)
    for row, length in enumerate(lengths):
        if chance.random() < settings["probability"]:
            longest = min(settings["time_frames"], int(LONGEST_SHARE * length))
            _hide(masks.frames[row, :length], settings["time_bands"], longest, chance)
            _hide(masks.features[row], settings["feature_bands"], widest, chance)
    return masks


def apply(frames: Tensor, lengths: Tensor, masks: Masks) -> Tensor:
    """Return frames (rows, frames, dims) whose hidden parts are each row's mean over its frames.

    Frames past a row's length must be zero.
    """
    hidden = torch.zeros(frames.shape[:2], dtype=torch.bool)
    hidden[:, : masks.frames.shape[1]] = torch.from_numpy(masks.frames)
    rows = hidden.any(1) | torch.from_numpy(masks.features).any(1)
    if not rows.any():
        return frames
    hidden, features = hidden.to(frames.device), torch.from_numpy(masks.features).to(frames.device)
    inside = torch.arange(frames.shape[1], device=frames.device) < lengths[:, None]
    mean = frames.sum(1, dtype=torch.float32) / lengths.clamp(min=1)[:, None]
    where = hidden[:, :, None] | (features[:, None, :] & inside[:, :, None])
    return torch.where(where, mean[:, None, :].to(frames.dtype), frames)


def _hide(
    part: NDArray[np.bool_], most_bands: int, widest: int, chance: np.random.Generator
) -> None:
    """Hide up to `most_bands` bands of a row, each up to `widest` wide."""
    if most_bands and widest:
        for _ in range(chance.integers(1, most_bands, endpoint=True)):
            width = chance.integers(max(1, widest // NARROWEST), widest, endpoint=True)
            start = chance.integers(0, len(part) - width, endpoint=True)
            part[start : start + width] = True
