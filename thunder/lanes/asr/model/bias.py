"""From trajectory scalars to the additive mask of the attention logits."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from thunder.lanes.asr.model.oracle import NAMES

HIDDEN = 8 * len(NAMES)
# Distances count in hundreds of frames.
PER_FRAME = 0.01
PRESSURE = NAMES.index("transition_pressure")


class TrajectoryBias(nn.Module):
    """One number per frame and head, spread over the other frames by a learned distance kernel.

    Adds b[i, h] * exp(-a_h |i - j| / 100 + o_h) to the logit of query i and key j, the form of
    Diomandeee's anticipation-geometry (ad6a81f); the idea of such a bias is Press et al.'s (2022).
    The weights come out of `generator` alone, so that no other random number moves.
    """

    def __init__(self, heads: int, generator: Generator) -> None:
        super().__init__()
        sizes = (len(NAMES), HIDDEN, HIDDEN, heads)
        self.layers = nn.ModuleList(
            nn.utils.skip_init(nn.Linear, before, after) for before, after in pairwise(sizes)
        )
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.weight, gain=0.1, generator=generator)
            nn.init.zeros_(layer.bias)
        self.decay = nn.Parameter(torch.ones(heads))
        self.offset = nn.Parameter(torch.zeros(heads))

    def forward(self, scalars: Tensor, keep: Tensor) -> Tensor:
        """Return the float32 mask (B, heads, T, T) for scalars (B, T, 7) and keys to keep."""
        with torch.autocast(scalars.device.type, enabled=False):
            strength = self._strength(scalars.float()).transpose(1, 2)[..., None]
            mask = strength * self._kernel(scalars.shape[1])
            return mask.masked_fill(~keep[:, None, None, :], -math.inf)

    def _strength(self, scalars: Tensor) -> Tensor:
        inputs = scalars.clone()
        inputs[..., PRESSURE] = (inputs[..., PRESSURE] + 2) / 4
        first, second, last = self.layers
        return last(F.gelu(second(F.gelu(first(inputs)))))

    def _kernel(self, frames: int) -> Tensor:
        clock = torch.arange(frames, device=self.decay.device, dtype=torch.float32)
        distance = (clock[:, None] - clock).abs() * PER_FRAME
        return torch.exp(-self.decay[:, None, None] * distance + self.offset[:, None, None])
