"""Temporal activation regularisation, the term that mode `tar` adds to the loss."""

import torch
import torch.nn.functional as F
from torch import Tensor


def penalty(
    hidden: Tensor, lengths: Tensor, *, alpha: float, beta: float, dropout: float = 0.0
) -> Tensor:
    """Return beta · mean_t |h_t − h_t+1|²/d + alpha · mean_t |dropout(h_t)|²/d, a mean over rows.

    Of `hidden` (B, T, d) only `lengths` (B,) frames count, each row by its own mean, so that long
    rows weigh no more than short ones. `dropout` is the share to drop. After Merity, McCann and
    Socher, "Revisiting activation regularization for language RNNs" (2017).
    """
    with torch.autocast(hidden.device.type, enabled=False):
        hidden = hidden.float()
        lengths = lengths.to(hidden.device)
        total = hidden.new_zeros(len(hidden))
        if beta:
            total = total + beta * _mean(hidden.diff(dim=1), lengths - 1)
        if alpha:
            total = total + alpha * _mean(F.dropout(hidden, dropout), lengths)
        return total.mean()


def _mean(vectors: Tensor, counts: Tensor) -> Tensor:
    """The mean of the squared numbers of the first `counts` vectors of each row."""
    squares = vectors.square().mean(dim=2)
    keep = torch.arange(squares.shape[1], device=squares.device) < counts[:, None]
    return (squares * keep).sum(dim=1) / counts.clamp(min=1)
