"""Small CTC models, and batches for them, for the tests of the ASR lane's model."""

from typing import Any

import torch
from torch import Tensor

from thunder.lanes.asr.model import ctc

# The models are so small that a second thread costs more than it does.
torch.set_num_threads(1)

DIMS, CLASSES = 20, 11
SIZE = {"width": 24, "layers": 2, "heads": 4, "feedforward": 32, "kernel": 5, "positions": 64}


def config(mode: str = "baseline", **changes: Any) -> dict[str, Any]:
    """Return the part of an `asr` config that a model reads; changes are for its `model`."""
    model = {"size": SIZE, "stride": 2, "lengths": "real", "dropout": 0.1, **changes}
    return {
        "seed": 42,
        "mode": mode,
        "model": model,
        "trajectory": {"neighbours": 5, "window": 64},
        "tar": {"alpha": 0.0, "beta": 0.1},
        "ttt": {"learning_rate": 0.1, "chunk": 8},
    }


def model(mode: str = "baseline", seed: int = 0, **changes: Any) -> ctc.CTCModel:
    """Return a small model in evaluation, of random weights."""
    torch.manual_seed(seed)
    return ctc.build(config(mode, **changes), DIMS, CLASSES).eval()


def batch(*lengths: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return smooth random frames of so many rows, zero beyond their lengths, and the lengths."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randn(len(lengths), max(lengths), DIMS, generator=generator).cumsum(dim=1) / 3
    counts = torch.tensor(lengths)
    return frames * (torch.arange(max(lengths)) < counts[:, None])[..., None], counts
