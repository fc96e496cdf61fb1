"""Faults that lie between keys of a config, which no schema can see; each kind adds its own."""

from collections.abc import Iterator, Mapping
from typing import Any

from thunder.ground.kind import Fault
from thunder.jobs.kinds import KINDS

_FILLED = ("command", "reproduce", "paths", "stand_ins")


def faults(config: Mapping[str, Any], total: int | None) -> list[Fault]:
    """Return every fault between keys, each with the path of the key that is to be changed.

    Args:
        total: steps of the whole job; None for a kind without steps.
    """
    return [*_of_runtime(config, total), *KINDS[config["kind"]].rules(config)]


def _of_runtime(config: Mapping[str, Any], total: int | None) -> Iterator[Fault]:
    runtime, name = config["runtime"], config["kind"]
    kind = KINDS[name]
    for key in _FILLED:
        if runtime[key]:
            yield ("runtime", key), "is filled in when a job is made; it cannot be set"
    if total is None and not kind.stands_for_any:
        way = f"; {kind.bounded_by}" if kind.bounded_by else ""
        message = f"a job of kind {name} has no steps to stop at{way}"
        yield from ((("runtime", key), message) for key in ("window", "target") if runtime[key])
    target = runtime["target"]
    if total is not None and target is not None and target > total:
        yield ("runtime", "target"), f"{target} is past the end: the job has {total} steps"
