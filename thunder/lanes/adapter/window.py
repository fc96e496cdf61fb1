"""A window of training on one rank: restore, train to an absolute step, validate, save."""

import hashlib
import platform
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from thunder import digest, files
from thunder.errors import ThunderError
from thunder.lanes.adapter import batches, lora, ring, state, tokens
from thunder.lanes.adapter.loop import Outcome, Trainer
from thunder.lanes.adapter.ring import Words

Tell = Callable[..., None]


class Window:
    """One rank's part of a window.

    Args:
        request: what the supervisor asked for; see `ranks.train_window`.
        group: the ring, or None for a single rank.
        blas: what `blas.load` found.
        tell: sends an event to the supervisor; each one re-arms the watchdog.
    """

    def __init__(self, request: Mapping[str, Any], group: Any, blas: Mapping[str, Any], tell: Tell) -> None:
        config = request["config"]
        self.request, self.config, self.group, self.tell = request, config, group, tell
        self.train, self.run = config["train"], Path(request["folder"])
        self.rank, self.world = request["rank"], request["world"]
        self.weights = self.train["rank_weights"][: self.world]
        folder = Path(request["tokens"])
        self.rows = tokens.load(folder / "train.npz")
        self.valid = tokens.load(folder / "valid.npz").first(self.train["valid_rows"])
        adapted = lora.load(Path(request["model_folder"]), config["adapter"], config["seed"])
        self.trainer = Trainer(adapted, self.train, peak(config), group)
        lengths = tuple(self.rows.lengths.tolist())
        rows = self.train["batch_size"] * sum(self.weights)
        self.order = batches.Order(lengths, config["seed"], rows)
        self.fingerprint = self._fingerprint(blas)
        self.tokens_seen = 0
        self.train_loss: float | None = None
        self.valid_loss: float | None = None

    def advance_to(self, stop: int) -> dict[str, Any]:
        """Train from the newest checkpoint to a step and return what was reached."""
        begun = self._restore()
        if self.valid_loss is None:
            self._validate()
        while self.trainer.step < stop:
            self._step(stop)
            self._pause(stop)
        return {"start": begun, "step": self.trainer.step, "valid_loss": self.valid_loss}

    def evaluate_checkpoint(self, step: int) -> dict[str, Any]:
        """Load a checkpoint as a fresh process does, and return its validation loss and what its weights are."""
        checkpoint = state.read(state.folder_of(self.run, step))
        self._set_state(self._stored_words(checkpoint))
        vector = self.trainer.vector
        updated = [v for name, v in self.trainer.adapted.named(vector).items() if name.endswith("lora_b")]
        return {
            "step": self.trainer.step,
            "finite": bool(mx.isfinite(vector).all().item()),
            "moved": any(bool((v != 0).any().item()) for v in updated),
            "valid_loss": self._evaluate(),
            "fingerprint": self.fingerprint,
        }

    def _restore(self) -> int:
        """Agree on the newest checkpoint of rank 0, bit for bit, and return its step."""
        words = self._fresh_words()
        if self.rank == 0:
            checkpoint, warnings = state.latest(self.run)
            for text in warnings:
                self.tell("warning", text=text)
            if checkpoint:
                words = self._resume(checkpoint)
            state.clean(self.run, checkpoint.step if checkpoint else 0)
            self.valid_loss = state.recorded_loss(self.run, checkpoint.step if checkpoint else 0)
        # The decision to validate is rank 0's: only it has the metrics.
        flag = np.array([self.valid_loss is not None], np.uint32)
        shared = ring.broadcast(np.concatenate([flag, words]), self.group)
        self._set_state(shared[1:])
        if shared[0] and self.valid_loss is None:
            self.valid_loss = 0.0
        return self.trainer.step

    def _resume(self, checkpoint: state.Checkpoint) -> Words:
        state.refuse_other_inputs(checkpoint, self.request["inputs"])
        record = checkpoint.record
        if record["fingerprint"] != self.fingerprint:
            changes = _changes(record["fingerprint"], self.fingerprint)
            self.tell("note", text=f"resumed, but not to the bit: {changes}")
        self.tokens_seen, self.train_loss = record["tokens_seen"], record["train_loss"]
        return self._stored_words(checkpoint)

    def _fresh_words(self) -> Words:
        seeds = [np.random.SeedSequence([self.config["seed"], rank]) for rank in range(self.world)]
        keys = np.concatenate([seed.generate_state(2, np.uint32) for seed in seeds])
        vector = np.array(self.trainer.vector)
        return _words(0, vector, np.zeros_like(vector), np.zeros_like(vector), keys)

    def _stored_words(self, checkpoint: state.Checkpoint) -> Words:
        stored = {name: mx.load(str(checkpoint.folder / name)) for name in state.TENSORS}
        adapters, optimizer, rng = (stored[name] for name in state.TENSORS)
        adapted = self.trainer.adapted
        wanted = dict(zip(adapted.names, adapted.shapes, strict=True))
        found = {name: value.shape for name, value in adapters.items()}
        size, ranks = self.trainer.vector.size, checkpoint.record["world_size"]
        if found != wanted or optimizer["m"].size != size or optimizer["v"].size != size:
            raise ThunderError(f"{checkpoint.folder}: {_shape_faults(found, wanted)}", "verification")
        # A single process may evaluate what many ranks trained; it needs no keys.
        if self.request["mode"] == "train" and ranks != self.world:
            raise ThunderError(f"{checkpoint.folder}: trained by {ranks} ranks, not {self.world}")
        if int(optimizer["step"].item()) != checkpoint.step:
            raise ThunderError(
                f"{checkpoint.folder}: the optimizer is at step {int(optimizer['step'].item())}", "verification"
            )
        vector = np.concatenate([np.array(adapters[name]).reshape(-1) for name in adapted.names])
        keys = np.array(rng["keys"])[: self.world].reshape(-1)
        return _words(checkpoint.step, vector, np.array(optimizer["m"]), np.array(optimizer["v"]), keys)

    def _set_state(self, words: Words) -> None:
        size = self.trainer.vector.size
        step, floats, keys = words[0], words[1 : 1 + 3 * size].view(np.float32), words[1 + 3 * size :]
        vector, m, v = (mx.array(part) for part in np.split(floats, 3))
        self.trainer.restore(vector, m, v, int(step))
        high, low = (int(word) for word in keys[2 * self.rank : 2 * self.rank + 2])
        # A key is the two halves of its seed, and the state itself cannot be assigned.
        mx.random.seed((high << 32) | low)

    def _step(self, stop: int) -> None:
        begun = time.perf_counter()
        numbers = self.order.batch(self.trainer.step)
        shares = batches.split(numbers, self.order.lengths, self.weights)
        outcome = self.trainer.advance(batches.collate(self.rows, shares[self.rank], self.trainer.grid))
        seconds = time.perf_counter() - begun
        count = sum(self.order.lengths[n] - 1 for n in numbers if n != batches.NO_ROW)
        self.tokens_seen += count
        self.train_loss, self.valid_loss = outcome.loss, None
        if self.rank == 0:
            self._record(outcome, count, seconds)
            self.tell(
                "step",
                step=self.trainer.step,
                of=stop,
                loss=outcome.loss,
                tokens_per_second=round(count / seconds, 1),
            )
        else:
            self.tell("beat")

    def _record(self, outcome: Outcome, count: int, seconds: float) -> None:
        row = {
            "step": self.trainer.step,
            "loss": outcome.loss,
            "learning_rate": outcome.learning_rate,
            "grad_norm": outcome.gradient_norm,
            "tokens": count,
            "tokens_per_second": round(count / seconds, 1),
            "seconds": round(seconds, 6),
        }
        files.append_jsonl(self.run / state.METRICS, row)

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
            files.append_jsonl(self.run / state.METRICS, row)
            self.tell("valid", step=step, valid_loss=self.valid_loss)

    def _evaluate(self) -> float:
        return self.trainer.evaluate(self.valid, self.rank, self.weights, lambda: self.tell("beat"))

    def _save(self, kept: bool) -> None:
        self._check_replicas()
        keys = ring.gather(np.array(mx.random.state[0]).astype(np.uint32), self.group)
        if self.rank == 0:
            tensors = {**self.trainer.tensors(), "rng": {"keys": mx.array(keys)}}
            folder = state.save(self.run, tensors, self._adapter_config(), self._checkpoint(kept))
            self.tell("checkpoint", step=self.trainer.step, path=str(folder))

    def _check_replicas(self) -> None:
        moments = self.trainer.optimizer.state["adapters"]
        arrays = (self.trainer.vector, moments["m"], moments["v"])
        found = ring.gather(_digest_words(b"".join(np.array(a).tobytes() for a in arrays)), self.group)
        if strays := [rank for rank in range(self.world) if (found[rank] != found[0]).any()]:
            raise ThunderError(
                f"step {self.trainer.step}: the adapters of ranks {strays} differ from rank 0's; nothing was saved: "
                "rerun to go on from the last checkpoint",
                "training",
            )

    def _adapter_config(self) -> dict[str, Any]:
        adapter = self.config["adapter"]
        return {
            "fine_tune_type": "lora",
            "model": self.config["model"]["name"],
            "num_layers": adapter["layers"],
            "lora_parameters": lora.parameters(adapter),
        }

    def _checkpoint(self, kept: bool) -> dict[str, Any]:
        config, train = self.config, self.train
        return {
            "step": self.trainer.step,
            "total_steps": train["steps"],
            "model": config["model"]["name"],
            "strategy": train["strategy"],
            "lora_rank": config["adapter"]["rank"],
            "num_layers": config["adapter"]["layers"],
            "learning_rate": self.trainer.peak,
            "batch_size": train["batch_size"],
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "run_id": self.request["run_id"],
            "stand_in": self.request["stand_in"],
            "world_size": self.world,
            "rank_weights": self.weights,
            "seed": config["seed"],
            "kept": kept,
            "train_loss": self.train_loss,
            "valid_loss": self.valid_loss,
            "valid_tokens": int(self.valid.supervised.sum()),
            "tokens_seen": self.tokens_seen,
            "trainable_parameters": self.trainer.vector.size,
            "fingerprint": self.fingerprint,
            "inputs": self.request["inputs"],
        }

    def _fingerprint(self, blas: Mapping[str, Any]) -> dict[str, Any]:
        on_gpu = self.trainer.on_gpu
        device = mx.device_info().get("architecture", "") if on_gpu else ""
        found = {
            "blas": " ".join(filter(None, (blas["name"], blas["version"]))),
            "threads": blas["threads"],
            "mlx": mx.__version__,
            "backend": "gpu" if on_gpu else "cpu",
            "dtype": self.trainer.adapted.dtype,
            "machine": " ".join(filter(None, (platform.system(), platform.machine(), str(device)))),
        }
        every = ring.gather(_digest_words(digest.canonical(found)), self.group)
        return {**found, "ranks_alike": bool((every == every[0]).all())}


def _is_due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


def peak(config: Mapping[str, Any]) -> float:
    """Return the highest learning rate; a stand-in is too small to learn with a real model's."""
    factor = config["model"]["source"].get("learning_rate_factor", 1.0)
    return float(config["train"]["learning_rate"] * factor)


def _words(step: int, vector: Any, m: Any, v: Any, keys: Words) -> Words:
    floats = (np.ascontiguousarray(part, np.float32).view(np.uint32) for part in (vector, m, v))
    return np.concatenate([np.array([step], np.uint32), *floats, keys])


def _digest_words(data: bytes) -> Words:
    return np.frombuffer(hashlib.sha256(data).digest()[:8], np.uint32)


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    changed = [name for name in sorted(new) if old[name] != new[name]]
    return ", ".join(f"{name} was {old[name]!r}, now {new[name]!r}" for name in changed)


def _shape_faults(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    missing, strange = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    other = [n for n in sorted(set(found) & set(wanted)) if found[n] != wanted[n]]
    return f"not this model's adapters: missing {missing}, unknown {strange}, other shapes {other}"
