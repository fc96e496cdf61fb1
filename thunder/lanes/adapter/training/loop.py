"""One training step and one evaluation, on one rank or many: the only place that computes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import cos, isfinite, pi
from typing import Any

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np

from thunder.backends.mlx import ring
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.data import batches
from thunder.lanes.adapter.data.batches import Batch, Grid
from thunder.lanes.adapter.data.token_rows import Rows
from thunder.lanes.adapter.model.lora import Adapted

END_FACTOR = 0.01
CLEAR_EVERY = 50
WIRED_SHARE = 0.9
TINY = 1e-6


@dataclass(frozen=True)
class Outcome:
    """What one step measured, over all ranks."""

    loss: float
    gradient_norm: float
    learning_rate: float


def learning_rate(step: int, peak: float, train: Mapping[str, Any]) -> float:
    """Return the rate of a step counted from 0: a linear rise, then a cosine fall to the last."""
    rise = max(1, round(train["steps"] * train["warmup_fraction"]))
    if step < rise:
        return peak * (step + 1) / rise
    done = min(1.0, (step - rise) / max(1, train["steps"] - rise))
    return peak * (END_FACTOR + (1 - END_FACTOR) * (1 + cos(pi * done)) / 2)


class Trainer:
    """The trainable vector, its optimizer and the step that moves both."""

    def __init__(
        self, adapted: Adapted, train: Mapping[str, Any], peak: float, group: Any = None
    ) -> None:
        self.adapted, self.train, self.peak, self.group = adapted, train, peak, group
        self.vector = adapted.vector()
        self.step = 0
        # A rate that is given at every step keeps the schedule out of the saved state.
        self.optimizer = optim.AdamW(
            learning_rate=0.0, weight_decay=train["weight_decay"], bias_correction=True
        )
        self.optimizer.init({"adapters": self.vector})
        self.on_gpu = mx.default_device() == mx.gpu
        if mx.metal.is_available():
            # Wired weights are never paged out; more than the system recommends, over all ranks
            # that may share this machine, would bring it down.
            most = int(mx.device_info()["max_recommended_working_set_size"])
            mx.set_wired_limit(int(WIRED_SHARE * most / train["ranks"]))
        gradient = mx.value_and_grad(self._loss)
        if self.on_gpu and not adapted.is_split:
            # The collective stays outside: what is compiled must never wait for another rank.
            random = mx.random.state
            gradient = mx.compile(gradient, inputs=random, outputs=random)
        self._gradient = gradient

    @property
    def grid(self) -> Grid:
        """Return the shapes that suit the device."""
        return batches.GPU if self.on_gpu else batches.CPU

    def _loss(
        self,
        vector: mx.array,
        inputs: mx.array,
        positions: mx.array,
        targets: mx.array,
        weights: mx.array,
    ) -> mx.array:
        self.adapted.bind(vector)
        return (self.adapted.losses(inputs, positions, targets) * weights).sum()

    def advance(self, batch: Batch) -> Outcome:
        """Train one step on this rank's share of the global batch."""
        rate = learning_rate(self.step, self.peak, self.train)
        loss, norm = self._update(batch, rate)
        mx.eval(self.vector, self.optimizer.state, loss, norm)
        outcome = Outcome(_number(loss), _number(norm), rate)
        if not (isfinite(outcome.loss) and isfinite(outcome.gradient_norm)):
            raise ThunderError(_not_finite(self.step + 1, outcome), "training")
        self.step += 1
        if self.on_gpu and self.step % CLEAR_EVERY == 0:
            mx.clear_cache()
        return outcome

    def _update(self, batch: Batch, rate: float) -> tuple[mx.array, mx.array]:
        loss, gradient = self._gradient(self.vector, *_arrays(batch))
        count = mx.array([batch.supervised], mx.float32)
        packed = mx.concatenate([gradient, loss.reshape(1), count])
        if self.group is not None:
            # Of a split model as well, where all are equal: ranks on other hardware stay alike.
            packed = ring.all_sum(packed, self.group)
        gradient = packed[:-2] / packed[-1]
        norm = mx.sqrt(mx.square(gradient).sum())
        gradient = gradient * mx.minimum(self.train["clip_norm"] / (norm + TINY), 1.0)
        self.optimizer.learning_rate = rate
        moved = self.optimizer.apply_gradients({"adapters": gradient}, {"adapters": self.vector})
        self.vector = moved["adapters"]
        return packed[-2] / packed[-1], norm

    def evaluate(
        self,
        rows: Rows,
        rank: int = 0,
        weights: Sequence[int] = (1,),
        beat: Callable[[], None] = lambda: None,
    ) -> float:
        """Return the loss per supervised token, the same to the bit for any number of ranks."""
        plan = batches.evaluation(rows)
        sums = np.zeros(len(plan), np.float32)
        self.adapted.bind(self.vector)
        self.adapted.model.eval()
        for number, numbers in enumerate(plan):
            if batches.owner(number, weights) == rank:
                batch = batches.collate(rows, numbers, self.grid)
                sums[number] = self._loss(self.vector, *_arrays(batch)).item()
                beat()
        self.adapted.model.train()
        gathered = mx.array(sums)
        if len(weights) > 1:
            gathered = ring.all_sum(gathered, self.group)
        total = float(np.array(gathered).astype(np.float64).sum()) / int(rows.supervised.sum())
        if not isfinite(total):
            raise ThunderError(f"the validation loss at step {self.step} is {total}", "training")
        return total

    def tensors(self) -> dict[str, dict[str, mx.array]]:
        """Return what a later process needs to go on, but for the keys of the random numbers."""
        moments = self.optimizer.state["adapters"]
        optimizer = {"m": moments["m"], "v": moments["v"], "step": self.optimizer.state["step"]}
        return {"adapters": self.adapted.named(self.vector), "optimizer": optimizer}

    def restore(self, vector: mx.array, m: mx.array, v: mx.array, step: int) -> None:
        """Go back to what `tensors` returned."""
        self.vector, self.step = vector, step
        self.optimizer.state = {
            "step": mx.array(step, mx.uint64),
            "learning_rate": mx.array(0.0),
            "adapters": {"m": m, "v": v},
        }
        self.optimizer.init({"adapters": vector})
        mx.eval(self.vector, self.optimizer.state)


def _arrays(batch: Batch) -> tuple[mx.array, mx.array, mx.array, mx.array]:
    parts = (batch.inputs, batch.positions, batch.targets, batch.weights)
    return tuple(mx.array(part) for part in parts)  # type: ignore[return-value]


def _number(scalar: Any) -> float:
    return float(scalar.item())


def _not_finite(step: int, outcome: Outcome) -> str:
    return (
        f"step {step}: the loss is {outcome.loss} and its gradient's norm {outcome.gradient_norm}; "
        "nothing was saved since the last checkpoint: lower train.learning_rate or look at the data"
    )
