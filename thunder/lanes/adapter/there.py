"""What a host must have for the ranks of an adapter: checked there, by the functions of here."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.lanes.adapter import input_checks, machine, strategy
from thunder.lanes.adapter.model import split_plan
from thunder.training.preflight import Checks


def alike() -> dict[str, str]:
    """Return the versions that all hosts of a run have to have in common."""
    return machine.alike()


def check(order: Mapping[str, Any], checks: Checks, content: Callable[[str], str]) -> None:
    """Check what the ranks on this host need.

    Args:
        order: see `training.there`.
        content: returns the digest of an input's folder.
    """
    config, places = order["config"], order["places"]
    deep = config["runtime"]["deep"]
    found: dict[str, Any] = {}
    input_checks.data(checks, Path(places["data"]), config["data"]["source"], found)
    model, source = Path(places["model"]), config["model"]["source"]
    facts = input_checks.model(
        checks, model, source, found, deep=deep, content=lambda: content("model")
    )
    input_checks.rehashed(checks, facts, deep=deep)
    machine.versions(checks, order["alike"])
    machine.room(checks, Path(order["workspace"]))
    machine.memory(checks, rank_bytes(model, config, found), order["ranks"])


def rank_bytes(model: Path, config: Mapping[str, Any], found: Mapping[str, Any]) -> int:
    """Return how many bytes of weights a rank holds, 0 where the model is not complete."""
    if found.get("model_bytes") and strategy.splits_model(config["train"]):
        with suppress(ThunderError):  # that it cannot be split is told where the run is started
            return split_plan.of_job(model, config).per_rank(config["train"]["ranks"])
    return int(found.get("model_bytes", 0))
