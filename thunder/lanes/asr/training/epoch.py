"""One pass through the training rows: every row that fits is in one step, on one rank."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from thunder.backends.torch.peers import Peers
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.features import layouts
from thunder.lanes.asr.training import augment, batches, chance
from thunder.lanes.asr.training.augment import Masks
from thunder.lanes.asr.training.batches import Batch
from thunder.lanes.asr.training.learner import Learner, Outcome
from thunder.training import events
from thunder.training.events import Emit
from thunder.training.progress import Throttle

if TYPE_CHECKING:
    from thunder.lanes.asr.material import Material


@dataclass
class Tally:
    """What the steps of an epoch add up to."""

    loss: float = 0.0
    rows: int = 0  # of steps that were made
    seen: int = 0
    nonfinite: int = 0
    norm_max: float = 0.0
    seconds: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    def add(self, outcome: Outcome, rows: int) -> None:
        """Take in a step."""
        self.seen += rows
        self.seconds = time.monotonic() - self._started
        if outcome.is_finite:
            self.loss, self.rows = self.loss + outcome.loss * rows, self.rows + rows
            self.norm_max = max(self.norm_max, outcome.gradient_norm)
        else:
            self.nonfinite += 1

    @property
    def mean_loss(self) -> float | None:
        """The loss per row, or None when no step was made."""
        return self.loss / self.rows if self.rows else None

    @property
    def per_second(self) -> float:
        """Utterances per second, over all ranks."""
        return self.seen / self.seconds if self.seconds else 0.0


def steps(material: "Material") -> int:
    """Return the steps of an epoch."""
    rows = int(material.splits["train"].fits.sum())
    return batches.count(rows, material.config["train"]["batch_size"])


def window(material: "Material") -> int | None:
    """Return the frames that every row is padded to, or None where real lengths count."""
    if material.config["model"]["lengths"] == "real":
        return None
    return layouts.named(material.store.layout).frames(material.config["features"]["seconds"])


def train(
    material: "Material", learner: Learner, number: int, nonfinite_before: int, emit: Emit
) -> Tally:
    """Train one epoch, counted from 1.

    Raises:
        ThunderError: more steps of the run were not finite than `train.most_nonfinite` allows.
    """
    config, of = material.config, steps(material)
    torch.manual_seed(chance.torch_seed(config["seed"], number, learner.peers.rank))
    tally, throttle = Tally(), Throttle(emit)
    prepared = batches.ahead(_prepared(material, learner.peers, number))
    for step, (batch, masks, rows) in enumerate(prepared, 1):
        outcome = learner.advance((number - 1) * of + step - 1, batch, masks, rows)
        tally.add(outcome, rows)
        if nonfinite_before + tally.nonfinite > config["train"]["most_nonfinite"]:
            raise ThunderError(_too_many(number, step, outcome), "training")
        event = events.step(
            step,
            of,
            unit="utterances",
            per_second=tally.per_second,
            loss=outcome.loss if outcome.is_finite else None,
            epoch=number,
        )
        throttle.tell(event, surely=step == of)
    return tally


def _prepared(
    material: "Material", peers: Peers, number: int
) -> Iterator[tuple[Batch | None, Masks | None, int]]:
    """Yield a rank's share of each batch, what is hidden of it, and the rows of all ranks."""
    config, utterances, store = material.config, material.splits["train"], material.store
    masks, whole = config["train"]["spec_augment"], window(material)
    hiding = chance.generator(chance.MASKS, config["seed"], number, peers.rank)
    for rows in _order(material, number):
        own = batches.share(rows, peers.rank, peers.world)
        if len(own):
            batch = batches.collate(store, utterances, own, whole)
            hidden = augment.draw(utterances.frames[own], store.dims, masks, hiding)
            yield batch, hidden, len(rows)
        else:
            yield None, None, len(rows)


def _order(material: "Material", number: int) -> list[batches.Rows]:
    """Return the batches of an epoch, the same on every rank.

    A row that does not fit its frames is in none: its loss is infinite, and the usual way out,
    a gradient of zero, would cost its computation and thin out the batch.
    """
    utterances, train = material.splits["train"], material.config["train"]
    return batches.epoch(
        utterances.frames,
        np.flatnonzero(utterances.fits),
        train["batch_size"],
        bucketed=train["bucketed"],
        chance=chance.generator(chance.ORDER, material.config["seed"], number),
    )


def _too_many(number: int, step: int, outcome: Outcome) -> str:
    return (
        f"epoch {number}, step {step}: the loss is {outcome.loss} and its gradient's norm "
        f"{outcome.gradient_norm}; more steps than train.most_nonfinite allows were skipped: "
        "lower train.learning_rate, or look at the features"
    )
