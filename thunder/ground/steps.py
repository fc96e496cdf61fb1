"""How many steps a job has, and which of them is asked for now; read off its config."""

from collections.abc import Mapping
from typing import Any


def total(config: Mapping[str, Any]) -> int | None:
    """Return the steps of the whole job; a kind that trains says so as `train.steps`."""
    steps = config.get("train", {}).get("steps")
    return None if steps is None else int(steps)


def goal(config: Mapping[str, Any]) -> int | None:
    """Return the absolute step that is asked for now; None for a kind that has no steps."""
    runtime, most = config["runtime"], total(config)
    if most is None:
        return None
    return int(min(runtime["target"] or runtime["window"] or most, most))
