"""A window of training on one rank: restore, train to an absolute step, validate, save."""

import hashlib
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from thunder.backends.mlx import ring
from thunder.backends.mlx.ring import Words
from thunder.ground import digest
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter import strategy
from thunder.lanes.adapter.data import batches, token_rows
from thunder.lanes.adapter.model import lora
from thunder.lanes.adapter.training import record, snapshot, state
from thunder.lanes.adapter.training.loop import Outcome, Trainer
from thunder.training import checkpoints, events, metrics
from thunder.training.checkpoints import Checkpoint

Tell = Callable[..., None]


class Window:
    """One rank's part of a window.

    Args:
        request: what the supervisor asked for; see `ranks.Request`.
        group: the ring, or None for a single rank.
        blas: what `blas.load` found.
        tell: sends an event to the supervisor; each one re-arms the watchdog.
    """

    def __init__(
        self, request: Mapping[str, Any], group: Any, blas: Mapping[str, Any], tell: Tell
    ) -> None:
        config = request["config"]
        self.request, self.config, self.group, self.tell = request, config, group, tell
        self.train, self.run = config["train"], Path(request["folder"])
        self.rank, self.world = request["rank"], request["world"]
        self.turns = strategy.turns(self.train)[: self.world]
        self.turn = self.rank % len(self.turns)
        folder = Path(request["tokens"])
        self.rows = token_rows.load(folder / "train.npz")
        self.valid = token_rows.load(folder / "valid.npz").first(self.train["valid_rows"])
        ring_of_model = group if strategy.splits_model(self.train) else None
        place = Path(request["model_folder"])
        adapted = lora.load(place, config["adapter"], config["seed"], ring_of_model)
        self.trainer = Trainer(adapted, self.train, peak(config), group)
        rows = self.train["batch_size"] * sum(self.turns)
        self.order = batches.Order(tuple(self.rows.lengths.tolist()), config["seed"], rows)
        self.fingerprint = self._fingerprint(blas)
        self.tokens_seen = 0
        self.train_loss: float | None = None
        self.valid_loss: float | None = None

    def advance_to(self, stop: int) -> dict[str, Any]:
        """Train from the newest checkpoint to a step and return what was reached."""
        begun, unvalidated = self._restore(stop)
        if unvalidated:
            self._validate()
        if begun >= stop and self.rank == 0:
            # A longer window that was interrupted may have passed through here.
            folder = checkpoints.folder_of(self.run, begun)
            checkpoints.keep(folder, state.LAYOUT, valid_loss=self.valid_loss)
        while self.trainer.step < stop:
            self._step(stop)
            self._pause(stop)
        return {"start": begun, "step": self.trainer.step, "valid_loss": self.valid_loss}

    def evaluate_checkpoint(self, step: int) -> dict[str, Any]:
        """Load a checkpoint as a fresh process does; return its loss and what its weights are."""
        words = self._fresh()
        if self.rank == 0:
            checkpoint = checkpoints.read(checkpoints.folder_of(self.run, step), state.LAYOUT)
            words = snapshot.stored(checkpoint, self.trainer)
        snapshot.restore(ring.broadcast(words, self.group), self.trainer, self.rank)
        parts = self.trainer.adapted.named(self.trainer.vector)
        updated = [value for name, value in parts.items() if name.endswith("lora_b")]
        finite = bool(mx.isfinite(self.trainer.vector).all().item())
        return {
            "step": self.trainer.step,
            "finite": finite,
            "moved": any(bool((value != 0).any().item()) for value in updated),
            "valid_loss": self._evaluate() if finite else None,
            "fingerprint": self.fingerprint,
        }

    def _restore(self, stop: int) -> tuple[int, bool]:
        """Agree on rank 0's newest checkpoint; return its step and whether it must be validated."""
        words, unvalidated = self._fresh(), True
        if self.rank == 0:
            checkpoint, warnings = checkpoints.latest(self.run, state.LAYOUT)
            for warning in warnings:
                self.tell(**events.warning(warning))
            step = checkpoint.step if checkpoint else 0
            if checkpoint:
                words = self._resume(checkpoint)
            state.clean(self.run, step)
            self.valid_loss = metrics.at_step(self.run, step, "valid_loss")
            ends_window = checkpoint is None or checkpoint.record["kept"] or step >= stop
            unvalidated = ends_window and self.valid_loss is None
        # Only rank 0 has checkpoints and metrics, so it decides for all.
        shared = ring.broadcast(np.append(words, np.uint32(unvalidated)), self.group)
        snapshot.restore(shared[:-1], self.trainer, self.rank)
        return self.trainer.step, bool(shared[-1])

    def _fresh(self) -> Words:
        turns = [rank % len(self.turns) for rank in range(self.world)]
        return snapshot.fresh(self.trainer, self.config["seed"], turns)

    def _resume(self, checkpoint: Checkpoint) -> Words:
        state.refuse_other_inputs(checkpoint, self.request["inputs"])
        old = checkpoint.record
        if old["world_size"] != self.world:
            raise ThunderError(
                f"{checkpoint.folder}: trained by {old['world_size']} ranks, not {self.world}; "
                "set train.ranks back, or start a new run"
            )
        if old["fingerprint"] != self.fingerprint:
            changes = record.changes(old["fingerprint"], self.fingerprint)
            self.tell(**events.note(f"resumed, but not to the bit: {changes}"))
        self.tokens_seen, self.train_loss = old["tokens_seen"], old["train_loss"]
        return snapshot.stored(checkpoint, self.trainer)

    def _step(self, stop: int) -> None:
        begun = time.perf_counter()
        numbers = self.order.batch(self.trainer.step)
        share = batches.split(numbers, self.order.lengths, self.turns)[self.turn]
        outcome = self.trainer.advance(batches.collate(self.rows, share, self.trainer.grid))
        seconds = time.perf_counter() - begun
        count = sum(self.order.lengths[n] - 1 for n in numbers if n != batches.NO_ROW)
        self.tokens_seen += count
        self.train_loss, self.valid_loss = outcome.loss, None
        if self.rank == 0:
            self._report(outcome, count, seconds, stop)
        else:
            self.tell("stepped")

    def _report(self, outcome: Outcome, count: int, seconds: float, stop: int) -> None:
        step, pace = self.trainer.step, round(count / seconds, 1)
        row = {
            "step": step,
            "loss": outcome.loss,
            "learning_rate": outcome.learning_rate,
            "grad_norm": outcome.gradient_norm,
            "tokens": count,
            "tokens_per_second": pace,
            "seconds": round(seconds, 6),
        }
        metrics.add(self.run, row)
        self.tell(**events.step(step, stop, unit="tokens", per_second=pace, loss=outcome.loss))

    def _pause(self, stop: int) -> None:
        """Validate and save where the step asks for it."""
        runtime, step = self.config["runtime"], self.trainer.step
        ends = step == stop
        if ends or _is_due(step, runtime["eval_every"]):
            self._validate()
        if ends or _is_due(step, runtime["save_every"]):
            self._save(kept=ends)

    def _validate(self) -> None:
        self.valid_loss = self._evaluate()
        if self.rank == 0:
            step, counted = self.trainer.step, int(self.valid.supervised.sum())
            row = {"step": step, "valid_loss": self.valid_loss, "valid_tokens": counted}
            metrics.add(self.run, row)
            self.tell(**events.valid(step, unit="step", metrics={"valid_loss": self.valid_loss}))

    def _evaluate(self) -> float:
        beat = lambda: self.tell(**events.beat())  # noqa: E731
        return self.trainer.evaluate(self.valid, self.turn, self.turns, beat)

    def _save(self, kept: bool) -> None:
        self._refuse_strays()
        keys = ring.gather(snapshot.key(), self.group)
        peaks = ring.gather(_peak_memory(), self.group)
        if self.rank == 0:
            tensors = {**self.trainer.tensors(), "rng": {"keys": mx.array(keys)}}
            adapter = record.of_adapter(self.config)
            folder = state.save(self.run, tensors, adapter, self._record(kept, peaks))
            self.tell(**events.saved(self.trainer.step, folder))

    def _record(self, kept: bool, peaks: Words) -> dict[str, Any]:
        return {
            **record.of_checkpoint(self.request, self.trainer),
            "kept": kept,
            "train_loss": self.train_loss,
            "valid_loss": self.valid_loss,
            "valid_tokens": int(self.valid.supervised.sum()),
            "tokens_seen": self.tokens_seen,
            "peak_memory_bytes": peaks.view(np.uint64).ravel().tolist(),
            "fingerprint": self.fingerprint,
        }

    def _refuse_strays(self) -> None:
        moments = self.trainer.optimizer.state["adapters"]
        arrays = (self.trainer.vector, moments["m"], moments["v"])
        mine = _digest_words(b"".join(np.array(array).tobytes() for array in arrays))
        every = ring.gather(mine, self.group)
        if strays := [rank for rank in range(self.world) if (every[rank] != every[0]).any()]:
            raise ThunderError(
                f"step {self.trainer.step}: ranks {strays} hold other adapters than rank 0; "
                "nothing was saved: run again to go on from the last checkpoint",
                "training",
            )

    def _fingerprint(self, blas: Mapping[str, Any]) -> dict[str, Any]:
        mine = record.fingerprint(self.trainer, blas)
        # Apart from the rest: a checkpoint may be gone on from with another Python.
        told = {**mine, "python": [*sys.version_info[:2]]}
        every = ring.gather(_digest_words(digest.canonical(told)), self.group)
        return {**mine, "ranks_alike": bool((every == every[0]).all())}


def peak(config: Mapping[str, Any]) -> float:
    """Return the highest learning rate; a stand-in is too small to learn with a real model's."""
    factor = config["model"]["source"].get("learning_rate_factor", 1.0)
    return float(config["train"]["learning_rate"] * factor)


def _is_due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


def _peak_memory() -> Words:
    """Return the bytes that arrays have taken at most in this process, as words."""
    return np.array([mx.get_peak_memory()], np.uint64).view(np.uint32)


def _digest_words(data: bytes) -> Words:
    return np.frombuffer(hashlib.sha256(data).digest()[:8], np.uint32)
