"""Which tokens a model can be given, and which of them end a turn: its files say so."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.ground import files, input_files
from thunder.lanes.adapter.model import stored

# What architectures call the table of their tokens; the first that there is.
TABLES = (
    "embed_tokens", "wte", "tok_embeddings", "word_embeddings", "token_embeddings", "embed_in",
    "embeddings", "embedding", "embed",
)  # fmt: skip
# Further tables that are looked up by the same ids, or hold a row for each.
BESIDE = ("embed_tokens_per_layer", "lm_head")
# Images and sounds have tables of their own.
OTHER_INPUTS = ("vision", "visual", "image", "audio")
SETTINGS = (input_files.CONFIG, "generation_config.json")


@dataclass(frozen=True)
class Vocabulary:
    """How many ids a model has, from 0, and the place that says so."""

    size: int
    place: str


def of(folder: Path) -> Vocabulary | None:
    """Return the vocabulary of a complete model; its weights decide, not what its config says."""
    rows = {
        name.removesuffix(".weight"): tensor.shape[0]
        for name, tensor in stored.tensors(folder).items()
        if name.endswith(".weight") and tensor.shape
    }
    tables = {name: count for name, count in rows.items() if not is_of_other_input(name)}
    for table in TABLES:
        if any(_last(name) == table for name in tables):
            sizes = {n: count for n, count in tables.items() if _last(n) in (table, *BESIDE)}
            name = min(sizes, key=lambda name: sizes[name])
            return Vocabulary(sizes[name], f"{name} has {sizes[name]} rows")
    return _by_config(folder)


def ends(folder: Path) -> set[int]:
    """Return the tokens at which a model stops, as its settings say."""
    named = (_settings(folder / name).get("eos_token_id") for name in SETTINGS)
    lists = (value if isinstance(value, list) else [value] for value in named)
    return {token for tokens in lists for token in tokens if isinstance(token, int)}


def setting(folder: Path, key: str) -> int | None:
    """Return a number of a model's config, its text model's first; None when it does not say."""
    config = _settings(folder / input_files.CONFIG)
    text = config.get("text_config")
    value = (text if text and isinstance(text, dict) else config).get(key)
    return value if isinstance(value, int) else None


def _by_config(folder: Path) -> Vocabulary | None:
    size = setting(folder, "vocab_size")
    if size is None:
        return None
    return Vocabulary(size, f"{input_files.CONFIG} says vocab_size {size}")


def _settings(path: Path) -> Mapping[str, Any]:
    try:
        settings = files.read_json(path)
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def is_of_other_input(name: str) -> bool:
    """Return whether a tensor is not of the text model."""
    return any(word in name for word in OTHER_INPUTS)


def _last(name: str) -> str:
    return name.rpartition(".")[2]
