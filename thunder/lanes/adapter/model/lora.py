"""A frozen model with LoRA layers, whose trainable numbers are one flat vector."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten

from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.model import split

LEAVES = {"lora_a", "lora_b"}
PROBE_TOKENS = 8
PROBE_TOLERANCE = 1e-3


class _Selecting:
    """Stands before a model's body and lets only some of its hidden rows through to the head."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self.positions: mx.array | None = None

    def __call__(self, *inputs: Any, **named: Any) -> mx.array:
        hidden = self._body(*inputs, **named)
        if self.positions is None:
            return hidden
        return hidden.reshape(-1, hidden.shape[-1])[self.positions][None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)


@dataclass
class Adapted:
    """A model and the names, shapes and places behind its flat vector of trainable numbers.

    Args:
        cross_entropy: of logits and targets; of a split model a rank has some logits alone.
        is_split: whether to compute with the model is to wait for other ranks.
    """

    model: Any
    names: list[str]
    shapes: list[tuple[int, ...]]
    places: list[tuple[Any, str]]
    selecting: _Selecting | None
    dtype: str
    cross_entropy: Callable[[mx.array, mx.array], mx.array] = nn.losses.cross_entropy
    is_split: bool = False

    def vector(self) -> mx.array:
        """Return the trainable numbers of the model as one vector."""
        weights = dict(tree_flatten(self.model.trainable_parameters()))
        return mx.concatenate([weights[name].reshape(-1) for name in self.names])

    def named(self, vector: mx.array) -> dict[str, mx.array]:
        """Return the parts of a vector by name."""
        ends = [0]
        for shape in self.shapes:
            ends.append(ends[-1] + prod(shape))
        parts = mx.split(vector, ends[1:-1])
        shaped = (part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True))
        return dict(zip(self.names, shaped, strict=True))

    def bind(self, vector: mx.array) -> None:
        """Put the parts of a vector into the model."""
        # Not by model.update, which walks the whole tree at every step.
        for (module, leaf), part in zip(self.places, self.named(vector).values(), strict=True):
            module[leaf] = part

    def losses(self, inputs: mx.array, positions: mx.array, targets: mx.array) -> mx.array:
        """Return the cross-entropy of the targets at some places of the flattened inputs."""
        return self.cross_entropy(self.logits(inputs, positions), targets)

    def logits(self, inputs: mx.array, positions: mx.array) -> mx.array:
        """Return the logits at some places of the flattened inputs, in float32."""
        if self.selecting is None:
            full = self.model(inputs)
            return full.reshape(-1, full.shape[-1])[positions].astype(mx.float32)
        self.selecting.positions = positions
        try:
            return self.model(inputs)[0].astype(mx.float32)
        finally:
            self.selecting.positions = None


def load(folder: Path, adapter: Mapping[str, Any], seed: int, group: Any = None) -> Adapted:
    """Load a model, freeze it and give its last layers LoRA weights made from the seed alone.

    Args:
        group: the ring to split the frozen layers over; None for a whole model.
    """
    model, config = _load(folder)
    depth = len(model.layers)
    if adapter["layers"] > depth:
        raise ThunderError(
            f"adapter.layers is {adapter['layers']}, but {folder.name} has {depth} layers"
        )
    _adapt(model, adapter, seed)
    shapes = {name: value.shape for name, value in tree_flatten(model.trainable_parameters())}
    if strange := sorted(name for name in shapes if name.rsplit(".", 1)[-1] not in LEAVES):
        raise ThunderError(f"trainable beside lora_a and lora_b: {', '.join(strange)}", "training")
    names, dtype, cross_entropy = sorted(shapes), _dtype(model, config), nn.losses.cross_entropy
    if group is not None:
        cross_entropy = split.split(model, folder, depth - adapter["layers"], group)
    mx.eval(model.parameters())
    sizes, places = [shapes[name] for name in names], _places(model, names)
    return Adapted(
        model, names, sizes, places, _selecting(model), dtype, cross_entropy, group is not None
    )


def _load(folder: Path) -> tuple[Any, dict[str, Any]]:
    from mlx_lm.utils import load_model

    try:
        model, config = load_model(folder, lazy=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ThunderError(f"{folder}: mlx-lm cannot load the model: {error}", "model") from error
    return model, config


def _adapt(model: Any, adapter: Mapping[str, Any], seed: int) -> None:
    from mlx_lm.tuner.utils import linear_to_lora_layers

    model.freeze()
    mx.random.seed(seed)
    linear_to_lora_layers(model, adapter["layers"], parameters(adapter))
    model.train()


def parameters(adapter: Mapping[str, Any]) -> dict[str, Any]:
    """Return what mlx-lm calls the parameters of LoRA layers."""
    return {name: adapter[name] for name in ("rank", "scale", "dropout")}


def _places(model: Any, names: list[str]) -> list[tuple[Any, str]]:
    modules = dict(model.named_modules())
    return [(modules[path], leaf) for path, leaf in (name.rsplit(".", 1) for name in names)]


def _dtype(model: Any, config: Mapping[str, Any]) -> str:
    weights = (value for _, value in tree_flatten(model.parameters()))
    sizes: dict[str, int] = {}
    for weight in weights:
        if mx.issubdtype(weight.dtype, mx.floating):
            name = str(weight.dtype).removeprefix("mlx.core.")
            sizes[name] = sizes.get(name, 0) + weight.size
    name = max(sizes, key=lambda key: sizes[key])
    bits = (config.get("quantization") or {}).get("bits")
    return f"{name}, {bits} bits" if bits else name


def _selecting(model: Any) -> _Selecting | None:
    """Put a selection before the head, or return None where the head is not found."""
    holder = _holder(model)
    if holder is None:
        return None
    selecting = _Selecting(holder["model"])
    # Past nn.Module's attributes: the parameters keep the body, and calls find the selection.
    vars(holder)["model"] = selecting
    if _agrees(model, selecting):
        return selecting
    del vars(holder)["model"]
    return None


def _holder(model: Any) -> Any:
    for _, module in model.named_modules():
        body = module.get("model")
        if isinstance(body, nn.Module) and "layers" in body:
            return module
    return None


def _agrees(model: Any, selecting: _Selecting) -> bool:
    inputs = mx.arange(1, 1 + PROBE_TOKENS)[None]
    positions = mx.array([2, PROBE_TOKENS - 1])
    model.eval()
    try:
        full = model(inputs)[0][positions]
        selecting.positions = positions
        picked = model(inputs)
        same = picked.shape == (1, *full.shape)
        return same and bool(mx.allclose(picked[0], full, PROBE_TOLERANCE, PROBE_TOLERANCE).item())
    except (TypeError, ValueError, AttributeError, IndexError):
        return False
    finally:
        selecting.positions = None
        model.train()
