"""When training stops: patience, counted from the last epoch that improved by more than chance."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Losses = NDArray[np.float32]

ONE_SIDED_95 = 1.645  # standard errors; a difference beyond has a chance of 1 in 20


@dataclass(frozen=True)
class Standing:
    """How a run stands after an epoch; epochs count from 1.

    `best` is the lowest mean loss on validation rows: its weights are best.pt. `firm` is the last
    epoch that improved on the firm one before by more than chance: patience counts from it, so
    small gains that add up still count.
    """

    best_epoch: int
    best_loss: float
    firm_epoch: int
    firm_losses: Losses  # one per validation row


def advance(before: Standing | None, epoch: int, losses: Losses) -> Standing:
    """Return how a run stands after an epoch with these losses, one per validation row."""
    mean = float(losses.mean(dtype=np.float64))
    if before is None:
        return Standing(epoch, mean, epoch, losses)
    is_best = mean < before.best_loss
    is_firm = is_improvement(losses, before.firm_losses)
    return Standing(
        epoch if is_best else before.best_epoch,
        mean if is_best else before.best_loss,
        epoch if is_firm else before.firm_epoch,
        losses if is_firm else before.firm_losses,
    )


def is_improvement(losses: Losses, before: Losses) -> bool:
    """Say whether the same rows lost less than before by more than chance.

    The mean of the paired differences must lie more than 1.645 standard errors below zero (a
    one-sided paired z-test at 5 %); a single row has no spread, so its difference decides.
    """
    if losses.shape != before.shape or not losses.size:
        raise ValueError(f"losses of {losses.shape} and {before.shape} rows are no pairs")
    differences = losses.astype(np.float64) - before.astype(np.float64)
    error = differences.std(ddof=1) / sqrt(len(differences)) if len(differences) > 1 else 0.0
    return bool(differences.mean() < -ONE_SIDED_95 * error)


def is_spent(standing: Standing, epoch: int, patience: int) -> bool:
    """Say whether as many epochs as patience allows went by without an improvement."""
    return epoch - standing.firm_epoch >= patience
