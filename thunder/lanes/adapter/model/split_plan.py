"""Which weights of a model are split over the ranks, by their names; loads no backend."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.ground import files, input_files
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.model import stored, vocabulary

# Each of them is trained by the tests, whole and split.
TYPES = ("gemma4", "gemma4_text", "llama", "qwen2", "qwen3")
TABLES = ("embed_tokens", "embed_tokens_per_layer", "lm_head")
PROJECTION = re.compile(
    r"(?:^|\.)layers\.(\d+)\.(?:self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj)"
)
EXPERTS = ".experts."


@dataclass(frozen=True)
class Plan:
    """The bytes of a model's weights that are split over the ranks, and those that each holds."""

    split: int
    whole: int

    def per_rank(self, world: int) -> int:
        """Return about how many bytes of weights a rank holds."""
        return self.whole + self.split // world


def is_split(path: str, first_adapted: int) -> bool:
    """Return whether a module is split: a table, or a projection below the first adapted layer."""
    if match := PROJECTION.search(path):
        return int(match[1]) < first_adapted
    return path.rpartition(".")[2] in TABLES


def of_job(folder: Path, config: Mapping[str, Any]) -> Plan:
    """Return what of a job's model is split, or raise ThunderError if it cannot be."""
    depth = vocabulary.setting(folder, "num_hidden_layers") or 0
    return of(folder, depth - config["adapter"]["layers"], config["train"]["ranks"])


def of(folder: Path, first_adapted: int, world: int) -> Plan:
    """Return what of a complete model is split, or raise ThunderError if it cannot be."""
    name = _type(folder)
    size = {True: 0, False: 0}
    for path, rows, count in _weights(folder):
        if EXPERTS in path:
            raise ThunderError(
                f"train.strategy tensor cannot split {name} with experts ({path}); use data"
            )
        here = is_split(path, first_adapted)
        if here and rows < world:
            raise ThunderError(f"{path} has {rows} rows, too few for {world} ranks; use fewer")
        size[here] += count
    return Plan(size[True], size[False])


def _type(folder: Path) -> str:
    name = str(files.read_json(folder / input_files.CONFIG).get("model_type"))
    if name not in TYPES:
        raise ThunderError(
            f"train.strategy tensor cannot split a model of type {name!r}, only "
            f"{', '.join(TYPES)}; use data"
        )
    return name


def _weights(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Yield the path of the module, the rows and the bytes of every weight of the text model."""
    for name, tensor in stored.tensors(folder).items():
        if not vocabulary.is_of_other_input(name):
            yield name.rpartition(".")[0], next(iter(tensor.shape), 1), tensor.size
