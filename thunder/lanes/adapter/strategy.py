"""What ranks share: with `data` the rows of a step, with `tensor` the weights of the model."""

from collections.abc import Iterator, Mapping
from typing import Any

TENSOR = "tensor"


def splits_model(train: Mapping[str, Any]) -> bool:
    """Return whether a rank holds a part of the model alone."""
    return bool(train["strategy"] == TENSOR)


def turns(train: Mapping[str, Any]) -> list[int]:
    """Return the weights of those that share the rows of a step: one, where all ranks see all."""
    return [1] if splits_model(train) else list(train["rank_weights"])


def faults(train: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the keys that do not go together, and why."""
    weights, ranks = train["rank_weights"], train["ranks"]
    if len(weights) != ranks:
        yield ("train", "rank_weights"), f"{len(weights)} weights for {ranks} ranks"
    elif splits_model(train) and set(weights) != {1}:
        yield (
            ("train", "rank_weights"),
            f"{weights}, but with strategy {TENSOR} every rank sees every row; write 1 for each",
        )
    if splits_model(train) and ranks == 1:
        yield (
            ("train", "ranks"),
            f"1, but strategy {TENSOR} splits a model over 2 or more; use data",
        )
