"""What a checkpoint says of itself: how it was trained, and what equal bits depend on."""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import mlx.core as mx

from thunder.lanes.adapter.model import lora
from thunder.lanes.adapter.training.loop import Trainer


def of_checkpoint(request: Mapping[str, Any], trainer: Trainer) -> dict[str, Any]:
    """Return the part of `checkpoint.json` that the request and the trainer alone decide."""
    config, train = request["config"], request["config"]["train"]
    return {
        "step": trainer.step,
        "total_steps": train["steps"],
        "model": config["model"]["name"],
        "strategy": train["strategy"],
        "lora_rank": config["adapter"]["rank"],
        "num_layers": config["adapter"]["layers"],
        "learning_rate": trainer.peak,
        "batch_size": train["batch_size"],
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "run_id": request["run_id"],
        "stand_in": request["stand_in"],
        "world_size": request["world"],
        "rank_weights": list(train["rank_weights"]),
        "seed": config["seed"],
        "trainable_parameters": trainer.vector.size,
        "inputs": dict(request["inputs"]),
    }


def of_adapter(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `adapter_config.json` that mlx-lm reads."""
    return {
        "fine_tune_type": "lora",
        "model": config["model"]["name"],
        "num_layers": config["adapter"]["layers"],
        "lora_parameters": lora.parameters(config["adapter"]),
    }


def fingerprint(trainer: Trainer, blas: Mapping[str, Any]) -> dict[str, Any]:
    """Return what this process computes with; another BLAS, device or version gives other bits."""
    device = mx.device_info().get("architecture") if trainer.on_gpu else None
    return {
        "blas": " ".join(filter(None, (blas["name"], blas["version"]))),
        "threads": blas["threads"],
        "mlx": version("mlx"),
        "backend": "gpu" if trainer.on_gpu else "cpu",
        "dtype": trainer.adapted.dtype,
        "machine": " ".join(
            map(str, filter(None, (platform.system(), platform.machine(), device)))
        ),
    }


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return how one fingerprint differs from another, for a person."""
    changed = [name for name in sorted(new) if old[name] != new[name]]
    return ", ".join(f"{name} was {old[name]!r}, now {new[name]!r}" for name in changed)
