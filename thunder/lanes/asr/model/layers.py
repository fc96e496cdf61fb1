"""Encoder layers with a place for an additive attention mask and one for a fast-weight adapter."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

Adapter = Callable[[Tensor, Tensor], Tensor]


class LayerNorm(nn.LayerNorm):
    """Layer normalisation whose gain and offset may also be of one row each, (B, 1, width)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise (B, T, width)."""
        if self.weight.dim() == 1:
            return super().forward(inputs)
        return F.layer_norm(inputs, self.normalized_shape, eps=self.eps) * self.weight + self.bias


class Attention(nn.Module):
    """Multi-head self-attention, with dropout on the attention weights."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.project = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.output.bias)

    def forward(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """Attend (B, T, width) under a mask (B, heads or 1, T or 1, T): to add, or to keep."""
        rows, frames, width = inputs.shape
        parts = self.project(inputs).view(rows, frames, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        if mask is not None and mask.is_floating_point():
            mask = mask.to(query.dtype)
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout
        )
        return self.output(attended.transpose(1, 2).reshape(rows, frames, width))


class EncoderLayer(nn.Module):
    """A post-norm encoder layer: attention, then a feed-forward block with GELU."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.attention_norm = LayerNorm(width)
        self.up = nn.Linear(width, feedforward)
        self.down = nn.Linear(feedforward, width)
        self.feedforward_norm = LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, inputs: Tensor, mask: Tensor | None, adapter: Adapter | None = None
    ) -> Tensor:
        """Encode (B, T, width); the adapter gets the input and output of the down projection."""
        attended = self.dropout(self.attention(inputs, mask))
        hidden = self.attention_norm(inputs + attended)
        inner = self.dropout(F.gelu(self.up(hidden)))
        output = self.down(inner)
        if adapter is not None:
            output = adapter(inner, output)
        return self.feedforward_norm(hidden + self.dropout(output))
