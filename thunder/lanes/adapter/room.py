"""What a run of an adapter takes of its machine: as its preflight there will ask for it."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thunder.ground.kind import Room
from thunder.lanes.adapter import machine, there
from thunder.lanes.adapter.model import model_folder
from thunder.training import host_checks

_NOT_BUILT = "its model is a stand-in that is built when the run needs it"


def of(config: Mapping[str, Any]) -> Room:
    """Return what a run takes where its ranks are, those on other hosts left out."""
    if "model" not in config["runtime"]["paths"]:
        return Room(None, machine.FREE_BYTES, {"memory": _NOT_BUILT})
    model = Path(config["runtime"]["paths"]["model"])
    size = _size(model)
    if size is None:
        return Room(None, machine.FREE_BYTES, {"memory": f"{model} is not whole on this machine"})
    weights = there.rank_bytes(model, config, {"model_bytes": size})
    # One process reads the checkpoint again here, wherever the ranks are.
    ranks = max(1, config["train"]["ranks"] - len(host_checks.far_ranks(config)))
    return Room(machine.memory_need(weights, ranks), machine.FREE_BYTES, {})


@functools.cache
def _size(model: Path) -> int | None:
    """Return the bytes of a model, None where it is not whole; asked once for all cells."""
    faults, facts = model_folder.check(model)
    return None if faults else int(facts["bytes"])
