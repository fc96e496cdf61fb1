"""The whole state of a training as one vector of words, broadcast and read back to the bit."""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from thunder.backends.mlx.ring import Words
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.training import state
from thunder.lanes.adapter.training.loop import Trainer
from thunder.training.checkpoints import Checkpoint


def fresh(trainer: Trainer, seed: int, turns: Sequence[int]) -> Words:
    """Return the state before the first step, with a key of random numbers for each rank's turn."""
    seeds = [np.random.SeedSequence([seed, turn]) for turn in turns]
    keys = np.concatenate([seed.generate_state(2, np.uint32) for seed in seeds])
    vector = np.array(trainer.vector)
    return _words(0, vector, np.zeros_like(vector), np.zeros_like(vector), keys)


def stored(checkpoint: Checkpoint, trainer: Trainer) -> Words:
    """Return the state that a checkpoint holds, or refuse it if it is not this model's."""
    arrays: dict[str, Any] = {n: mx.load(str(checkpoint.folder / n)) for n in state.TENSORS}
    adapters, optimizer, rng = (arrays[name] for name in state.TENSORS)
    wanted = dict(zip(trainer.adapted.names, trainer.adapted.shapes, strict=True))
    shapes = {name: value.shape for name, value in adapters.items()}
    if shapes != wanted or {optimizer[name].size for name in "mv"} != {trainer.vector.size}:
        raise ThunderError(f"{checkpoint.folder}: {_shape_faults(shapes, wanted)}", "verification")
    if (step := int(optimizer["step"].item())) != checkpoint.step:
        raise ThunderError(f"{checkpoint.folder}: the optimizer is at step {step}", "verification")
    vector = np.concatenate([np.array(adapters[name]).reshape(-1) for name in wanted])
    m, v = (np.array(optimizer[name]) for name in "mv")
    return _words(step, vector, m, v, np.array(rng["keys"]).reshape(-1))


def restore(words: Words, trainer: Trainer, rank: int) -> None:
    """Put a trainer and this rank's random numbers into a state."""
    size = trainer.vector.size
    floats, keys = words[1 : 1 + 3 * size].view(np.float32), words[1 + 3 * size :]
    vector, m, v = (mx.array(part) for part in np.split(floats, 3))
    trainer.restore(vector, m, v, int(words[0]))
    high, low = (int(word) for word in keys[2 * rank : 2 * rank + 2])
    # A key is the two halves of its seed, and the state itself cannot be assigned.
    mx.random.seed((high << 32) | low)


def key() -> Words:
    """Return this rank's key of random numbers."""
    current: Any = mx.random.state
    return np.array(current[0]).astype(np.uint32)


def _words(step: int, vector: Any, m: Any, v: Any, keys: Words) -> Words:
    floats = (np.ascontiguousarray(part, np.float32).view(np.uint32) for part in (vector, m, v))
    return np.concatenate([np.array([step], np.uint32), *floats, keys])


def _shape_faults(shapes: dict[str, Any], wanted: dict[str, Any]) -> str:
    missing, strange = sorted(set(wanted) - set(shapes)), sorted(set(shapes) - set(wanted))
    other = sorted(name for name in set(shapes) & set(wanted) if shapes[name] != wanted[name])
    return f"not this model's adapters: missing {missing}, unknown {strange}, other shapes {other}"
