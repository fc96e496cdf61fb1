"""What a model knows of itself in an utterance: posteriors and scalars as a few numbers a row."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from thunder.ground.errors import ThunderError
from thunder.lanes.asr.model.oracle import NAMES

DIGITS = 6
STATISTICS = ("mean", "min", "max", "last")
EDGE = 0.1  # share of the frames that count as an edge
POSTERIORS = ("avg_logp", "mean_maxp", "mean_entropy", "blank_mass")
_PRESSURE = NAMES.index("transition_pressure")


def of_posteriors(log_probs: Tensor, lengths: Tensor, blank: int) -> list[dict[str, float]]:
    """Return avg_logp, mean_maxp, mean_entropy (nats) and blank_mass of each utterance.

    Args:
        log_probs: (B, T, classes), log softmax.
        lengths: (B,) frames that count, each at least 1.

    Raises:
        ThunderError: a posterior is not a number.
    """
    inside = _inside(log_probs, lengths)
    probs, best = log_probs.exp(), log_probs.max(dim=-1).values
    entropy = torch.special.entr(probs).sum(dim=-1)
    measures = torch.stack([best, best.exp(), entropy, probs[..., blank]], dim=-1)
    # Masked, not multiplied: nothing that padding holds may reach a sum.
    sums = measures.masked_fill(~inside[..., None], 0.0).sum(dim=1)
    means = sums / lengths[:, None]
    if not bool(means.isfinite().all()):
        raise ThunderError("evaluation: the model's posteriors are not finite numbers", "training")
    return [dict(zip(POSTERIORS, _rounded(row), strict=True)) for row in means.tolist()]


def of_scalars(scalars: Tensor, lengths: Tensor) -> Iterator[dict[str, Any]]:
    """Yield trajectory_scalars and edge_pressure of each utterance.

    Args:
        scalars: (B, T, 7), in the order of `oracle.NAMES`.
        lengths: (B,) frames that count, each at least 1.
    """
    at_edge = _at_edge(_inside(scalars, lengths), lengths)
    pressures = scalars[..., _PRESSURE].masked_fill(~at_edge, -torch.inf).amax(dim=1)
    rows = statistics(scalars, lengths)
    for row, pressure in zip(rows, _rounded(pressures.tolist()), strict=True):
        summary = {
            name: dict(zip(values, _rounded(list(values.values())), strict=True))
            for name, values in row.items()
        }
        yield {"trajectory_scalars": summary, "edge_pressure": pressure}


def statistics(scalars: Tensor, lengths: Tensor) -> list[dict[str, dict[str, float]]]:
    """Return mean, min, max and last of scalars (B, T, 7) over the frames that count, by row."""
    inside = _inside(scalars, lengths)[..., None]
    last = (lengths - 1)[:, None, None].expand(-1, 1, len(NAMES))
    values = torch.stack(
        [
            scalars.double().masked_fill(~inside, 0.0).sum(dim=1) / lengths[:, None],
            scalars.masked_fill(~inside, torch.inf).amin(dim=1).double(),
            scalars.masked_fill(~inside, -torch.inf).amax(dim=1).double(),
            scalars.gather(1, last)[:, 0].double(),
        ],
        dim=2,
    )
    return [
        {
            name: dict(zip(STATISTICS, numbers, strict=True))
            for name, numbers in zip(NAMES, row, strict=True)
        }
        for row in values.tolist()
    ]


def _inside(values: Tensor, lengths: Tensor) -> Tensor:
    return torch.arange(values.shape[1], device=values.device) < lengths[:, None]


def _at_edge(inside: Tensor, lengths: Tensor) -> Tensor:
    """Say which frames are among the first or the last tenth, at least one each; (B, T)."""
    place = torch.arange(inside.shape[1], device=inside.device)
    width = (lengths * EDGE).ceil().long()[:, None]
    return inside & ((place < width) | (place >= lengths[:, None] - width))


def _rounded(values: list[float]) -> list[float]:
    """Return values as rows carry them; never a negative zero."""
    return [round(value, DIGITS) + 0.0 for value in values]
