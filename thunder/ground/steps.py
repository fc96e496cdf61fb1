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


def way(start: int, end: int, most: int | None, window: int | None) -> str:
    """Return steps in words, and what ends them: `step 0 → 10 of 80, a window`.

    Args:
        most: the steps of the whole job.
        window: the steps of one window, None when there are none.
    """
    end_of = "a window" if window and end - start <= window else "the target"
    return f"step {start} → {end} of {most}" + ("" if end == most else f", {end_of}")
