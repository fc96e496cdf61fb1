"""One step of training: the loss of a batch, its gradient over all ranks, and what moves by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, isfinite, pi
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from thunder.backends.torch.machine import Machine
from thunder.backends.torch.peers import Peers
from thunder.lanes.asr.model import tar
from thunder.lanes.asr.training import augment
from thunder.lanes.asr.training.augment import Masks
from thunder.lanes.asr.training.batches import Batch

_TINY = 1e-6


@dataclass(frozen=True)
class Outcome:
    """What one step measured, over all ranks."""

    loss: float
    gradient_norm: float

    @property
    def is_finite(self) -> bool:
        """Say whether the step was made; a step that is not finite moves nothing."""
        return isfinite(self.loss) and isfinite(self.gradient_norm)


def peak_rate(config: Mapping[str, Any]) -> float:
    """Return the highest learning rate of a run: a stand-in's size has a factor of its own."""
    factor = config["model"]["size"]["learning_rate_factor"]
    return float(config["train"]["learning_rate"] * factor)


def learning_rate(step: int, peak: float, steps: int, warmup_steps: int) -> float:
    """Return the rate of a step counted from 0: a linear rise, then a cosine fall to 0.

    The rise takes `warmup_steps`, but at most a tenth of all steps.
    """
    rise = min(warmup_steps, steps // 10)
    if step < rise:
        return peak * (step + 1) / rise
    return peak * (1 + cos(pi * (step - rise) / max(1, steps - rise))) / 2


def row_losses(log_probs: Tensor, lengths: Tensor, batch: Batch, blank: int) -> Tensor:
    """Return the CTC loss of each row, per character of its target (Graves et al. 2006).

    The mean of these over rows is what torch calls the mean, and what published losses of this
    model family are in. A row that does not fit its frames has an infinite loss.
    """
    device = log_probs.device
    target_lengths = batch.target_lengths.to(device)
    losses = functional.ctc_loss(
        log_probs.transpose(0, 1),
        batch.targets.to(device),
        lengths.to(device),
        target_lengths,
        blank=blank,
        reduction="none",
    )
    return losses / target_lengths.clamp(min=1)


class Learner:
    """A model, its optimizer and the step that moves both.

    Args:
        steps: the schedule's length.
        blank: the class of the blank.
    """

    def __init__(
        self,
        model: nn.Module,
        config: Mapping[str, Any],
        *,
        steps: int,
        blank: int,
        machine: Machine,
        peers: Peers,
    ) -> None:
        self.model, self.config, self.steps, self.blank = model, config, steps, blank
        self.machine, self.peers = machine, peers
        self.gradient = _flat_gradient(model, machine.device)
        self.optimizer = _optimizer(model, config["train"])

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0 over the whole run."""
        warmup_steps = self.config["train"]["warmup_steps"]
        return learning_rate(step, peak_rate(self.config), self.steps, warmup_steps)

    def advance(self, step: int, batch: Batch | None, masks: Masks | None, rows: int) -> Outcome:
        """Make one step.

        Args:
            batch: this rank's share; None where there were fewer rows than ranks.
            rows: of the whole batch, over all ranks.
        """
        self.gradient.zero_()
        if batch is not None:
            objective, loss = self._objective(batch, masks, rows)
            objective.backward()
            self.gradient[-1] = loss
        self.peers.sum(self.gradient)
        weights = self.gradient[:-1]
        norm = weights.norm()
        outcome = Outcome(*torch.stack([self.gradient[-1], norm]).tolist())
        if outcome.is_finite:
            weights.mul_((self.config["train"]["clip_norm"] / (norm + _TINY)).clamp(max=1.0))
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate(step)
            self.optimizer.step()
        return outcome

    def fingerprint(self) -> Tensor:
        """Return one number for each parameter, which equal weights have in common."""
        parameters = self.model.parameters()
        return torch.stack([parameter.detach().double().sum() for parameter in parameters])

    def restore(self, model: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> None:
        """Go back to what was saved."""
        self.model.load_state_dict(model)
        self.optimizer.load_state_dict(dict(optimizer))

    def _objective(self, batch: Batch, masks: Masks | None, rows: int) -> tuple[Tensor, Tensor]:
        """Return what the gradient is of, and the CTC loss alone, as this rank's part of a mean."""
        frames, lengths = on_device(batch, self.machine)
        if masks is not None:
            spoken = batch.spoken.to(self.machine.device)
            frames = augment.apply(frames, spoken, masks)
        with self.machine.autocast():
            output = self.model(frames, lengths)
        loss = row_losses(output.log_probs, output.lengths, batch, self.blank).sum() / rows
        if self.config["mode"] != "tar":
            return loss, loss.detach()
        dropout = self.config["model"]["dropout"]
        weights = self.config["tar"]
        term = tar.penalty(output.hidden, output.lengths, **weights, dropout=dropout)
        return loss + term * len(batch.rows) / rows, loss.detach()


def on_device(batch: Batch, machine: Machine) -> tuple[Tensor, Tensor]:
    """Return the frames, in float32, and their lengths on the device."""
    frames = batch.frames.to(machine.device, non_blocking=True).float()
    return frames, batch.lengths.to(machine.device, non_blocking=True)


def _flat_gradient(model: nn.Module, device: torch.device) -> Tensor:
    """Make all gradients parts of one vector, which has room for the loss at its end.

    One sum over ranks then carries everything, and norm and clipping are one operation each.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    flat = torch.zeros(sum(parameter.numel() for parameter in parameters) + 1, device=device)
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.grad = flat[start:end].view_as(parameter)
        start = end
    return flat


def _optimizer(model: nn.Module, train: Mapping[str, Any]) -> torch.optim.AdamW:
    """Return AdamW; vectors (biases and the gains of norms) do not decay, matrices do."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": train["weight_decay"]},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=tuple(train["betas"]), fused=True)
