"""The kind that computes next to nothing: to try a matrix, a site or the runner."""

from __future__ import annotations

import time

from thunder.ground.errors import ThunderError

# As in thunder.executors.child: this lane is there to measure the runner with.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any


def run(
    config: dict[str, Any], folder: Path, emit: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Sleep, then return numbers that depend on the config alone."""
    settings = config["dry"]
    end = time.monotonic() + settings["sleep_seconds"]
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 1.0))
        emit({"event": "beat"})  # spelt out: to import the events would cost a tenth of the job
    if settings["fail"]:
        raise ThunderError("the job was asked to fail (dry.fail=true)", "training")
    value = settings["value"]
    return {"metrics": {"value": value, "value_squared": value**2, "seed": config["seed"]}}
