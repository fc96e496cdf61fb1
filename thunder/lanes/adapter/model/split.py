"""Splits the frozen part of a model over the ranks of a ring: each holds some rows of a matrix.

Rows alone are split, and what they give is gathered: every number is one rank's whole inner sum, so
nothing is rounded in another order than on one rank, a group of quantised weights is never cut, and
no head needs to be divided: keys and values are whole where adapted layers share them.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from thunder.backends.mlx import ring, shares
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.model import split_plan, stored
from thunder.lanes.adapter.model.stored import Tensor

LM_HEAD = "lm_head"
# What gives the logits: the first that there is.
HEADS = (LM_HEAD, "embed_tokens")
# What follows them works on each number by itself, so that it may stay in shares until `CLOSING`.
OPENING = ("gate_proj", "up_proj")
CLOSING = "down_proj"


class Projection(nn.Module):
    """A linear layer of which this rank has some outputs; it gives them all.

    Args:
        part: the linear layer with this rank's rows alone.
        size: the outputs of all ranks.
        inputs: the inputs, if a rank is given its share of them alone.
    """

    def __init__(self, part: Any, size: int, inputs: int | None, group: Any) -> None:
        super().__init__()
        self.part, self._size, self._inputs, self._group = part, size, inputs, group

    def __call__(self, values: mx.array) -> mx.array:
        if self._inputs is not None:
            values = shares.joined(values, self._inputs, self._group)
        return shares.joined(self.part(values), self._size, self._group)


class Table(nn.Module):
    """A table of tokens of which this rank has some rows, from `start` on."""

    def __init__(self, part: Any, start: int, stop: int, group: Any) -> None:
        super().__init__()
        self.part, self._span, self._group = part, (start, stop), group

    def __call__(self, tokens: mx.array) -> mx.array:
        mine, places = shares.is_in(tokens, *self._span)
        return ring.all_sum(mx.where(mine[..., None], self.part(places), 0), self._group)

    def as_linear(self, hidden: mx.array) -> mx.array:
        """Return this rank's share of the logits."""
        return self.part.as_linear(shares.with_summed_gradient(hidden, self._group))


class Head(nn.Module):
    """The last linear layer, of which this rank has some outputs; it gives these."""

    def __init__(self, part: Any, group: Any) -> None:
        super().__init__()
        self.part, self._group = part, group

    def __call__(self, hidden: mx.array) -> mx.array:
        return self.part(shares.with_summed_gradient(hidden, self._group))


def split(model: Any, folder: Path, first_adapted: int, group: Any) -> Callable[..., mx.array]:
    """Split a model that was loaded lazily; return the cross-entropy of the logits it now gives."""
    homes, modules = _homes(model, folder), dict(model.named_modules())
    chosen = [path for path in modules if split_plan.is_split(path, first_adapted)]
    sizes = {path: modules[path].weight.shape[0] for path in chosen}
    spans = {path: shares.of(size, group.rank(), group.size()) for path, size in sizes.items()}
    for path, span in spans.items():
        _keep_rows(modules[path], path, homes, span)
        parent, _, name = path.rpartition(".")
        whole = _whole(modules[path], path, sizes, span, group)
        setattr(modules[parent], name, whole)
    head = next(p for name in HEADS for p in chosen if p.rpartition(".")[2] == name)
    return partial(shares.cross_entropy, start=spans[head][0], group=group)


def _homes(model: Any, folder: Path) -> dict[str, Tensor]:
    """Return where each array of a model lies in the files that it is loaded from."""
    tensors = stored.tensors(folder)
    loaded: dict[str, mx.array] = {}
    for file in {tensor.file for tensor in tensors.values()}:
        loaded.update(mx.load(str(file)))  # type: ignore[arg-type]
    names = {id(array): name for name, array in loaded.items()}
    # It renames: what is still the same array is used as it is stored.
    used = model.sanitize(dict(loaded)) if hasattr(model, "sanitize") else loaded
    return {path: tensors[names[id(array)]] for path, array in used.items() if id(array) in names}


def _keep_rows(module: Any, path: str, homes: dict[str, Tensor], span: tuple[int, int]) -> None:
    """Read a rank's rows of a module's arrays; the others never enter memory."""
    for leaf, array in module.parameters().items():
        home = homes.get(f"{path}.{leaf}")
        if home is None or (home.shape, home.size) != (array.shape, array.nbytes):
            raise ThunderError(
                f"{path}.{leaf} is not stored as it is used, so that no part of it can be read; "
                "convert the model with mlx_lm.convert",
                "model",
            )
        module[leaf] = mx.array(home.rows(*span)).view(array.dtype)


def _whole(
    module: Any, path: str, sizes: dict[str, int], span: tuple[int, int], group: Any
) -> nn.Module:
    """Return what stands for a module whose rows are split."""
    parent, _, name = path.rpartition(".")
    if name == LM_HEAD:
        return Head(module, group)
    if name in split_plan.TABLES:
        return Table(module, *span, group)
    if name in OPENING:
        return module
    inputs = sizes[f"{parent}.{OPENING[0]}"] if name == CLOSING else None
    return Projection(module, sizes[path], inputs, group)
