"""The in-place, chunk-local fast-weight adapter of a feed-forward block's down projection."""

from math import ceil

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from thunder.ground import draws

# The order of chunks in a shuffled run; this one takes the second of two first.
SHUFFLE_SEED = 8


class InPlaceTTTAdapter(nn.Module):
    """Adds to a down projection W what one gradient step per chunk of the same utterance changes.

    A chunk's frames first go through y = (W + Δ)z + b. Then Δ loses learning_rate times the
    gradient, clipped to norm 1, of mean_t |y_t − P·slow_t+1|² over the frames t of the chunk whose
    next frame is in it too, where slow = Wz + b. Δ is zero where an utterance starts.
    As Δ is a sum of outer products, it is applied and never made: Δz = Σ r (z'·z).
    """

    def __init__(
        self, width: int, *, learning_rate: float, chunk: int, generator: Generator
    ) -> None:
        super().__init__()
        self.learning_rate, self.chunk = learning_rate, chunk
        self.target = nn.Parameter(torch.empty(width, width))
        nn.init.xavier_uniform_(self.target, generator=generator)
        # Without a step nothing reaches P; so that no optimizer or gradient norm counts it.
        self.target.requires_grad_(learning_rate > 0)

    def forward(
        self, inner: Tensor, slow: Tensor, lengths: Tensor, *, shuffled: bool = False
    ) -> Tensor:
        """Return y (B, T, width), float32, of z `inner` (B, T, d) and Wz + b `slow`."""
        with torch.autocast(slow.device.type, enabled=False):
            inner, slow = inner.float(), slow.float()
            pairs = self._pairs(slow.shape[1], lengths.to(slow.device))
            if shuffled:
                return self._shuffled(inner, slow, pairs)
            return self._in_order(inner, slow, pairs)

    def _pairs(self, frames: int, lengths: Tensor) -> Tensor:
        """Which frames (B, T) have a next frame that counts, in their own chunk."""
        clock = torch.arange(frames, device=lengths.device)
        return ((clock + 1) % self.chunk != 0) & (clock + 1 < lengths[:, None])

    def _in_order(self, inner: Tensor, slow: Tensor, pairs: Tensor) -> Tensor:
        frames = slow.shape[1]
        outputs: list[Tensor] = []
        changes: list[Tensor] = []
        for start in range(0, frames, self.chunk):
            here = slice(start, min(start + self.chunk, frames))
            output = slow[:, here]
            if changes:
                likeness = inner[:, here] @ inner[:, :start].transpose(1, 2)
                output = output + likeness @ torch.cat(changes, dim=1)
            outputs.append(output)
            if here.stop < frames:
                changes.append(self._change(inner[:, here], output, slow[:, here], pairs[:, here]))
        return torch.cat(outputs, dim=1)

    def _change(self, inner: Tensor, output: Tensor, slow: Tensor, pairs: Tensor) -> Tensor:
        """The vectors r (B, chunk, width) by which one step changes Δ, as Σ r zᵀ."""
        target = F.pad(F.linear(slow[:, 1:], self.target), (0, 0, 0, 1))
        count = pairs.sum(dim=1).clamp(min=1)[:, None, None]
        slope = (output - target) * pairs[..., None] * (2 / count)
        # |Σ r zᵀ|² from the two Gram matrices.
        size = (slope @ slope.transpose(1, 2) * (inner @ inner.transpose(1, 2))).sum(dim=(1, 2))
        return slope * (-self.learning_rate * size.clamp(min=1).rsqrt())[:, None, None]

    def _shuffled(self, inner: Tensor, slow: Tensor, pairs: Tensor) -> Tensor:
        """The same with the chunks in another order, which is one for all lengths."""
        frames = slow.shape[1]
        chunks = ceil(frames / self.chunk)
        order = shuffled_order(chunks).to(slow.device)
        parts = [self._reordered(part, chunks, order) for part in (inner, slow, pairs)]
        output = self._reordered(self._in_order(*parts), chunks, order.argsort())
        return output[:, :frames]

    def _reordered(self, values: Tensor, chunks: int, order: Tensor) -> Tensor:
        missing = chunks * self.chunk - values.shape[1]
        padded = F.pad(values, (0, 0) * (values.dim() - 2) + (0, missing))
        return padded.unflatten(1, (chunks, self.chunk))[:, order].flatten(1, 2)


def shuffled_order(chunks: int) -> Tensor:
    """Return the order of a shuffled run; more chunks keep the order of the first among them."""
    rng = draws.stream("asr", "chunks", SHUFFLE_SEED)
    return torch.tensor([rng.random() for _ in range(chunks)]).argsort()
