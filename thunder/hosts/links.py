"""The ring's link, measured between the hosts themselves, and shares of rows for their speeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.hosts.connection import Connection

_LISTEN_SECONDS = 15.0
_CONNECT_SECONDS = 5.0
_ROUNDS = 50
_ALIKE = 1.25  # speeds that differ by less are not worth other shares
_LARGEST = 4  # of a weight for the slowest: small weights are small batches


def measured(
    ways: Mapping[str, Connection], ranks_on: Sequence[Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Return the way of a byte from each host of ranks to the next and back, in milliseconds.

    Args:
        ranks_on: name and address of each; hosts without an open way are left out.
    """
    if len(ranks_on) < 2:
        return []
    pairs = zip(ranks_on, [*ranks_on[1:], ranks_on[0]], strict=True)
    return [
        _link(ways[one["name"]], ways[other["name"]], other["address"])
        for one, other in pairs
        if one["name"] in ways and other["name"] in ways
    ]


def _link(one: Connection, other: Connection, address: str) -> dict[str, Any]:
    row = {"from": one.host.name, "to": other.host.name, "address": address}
    try:
        port = other.call("listen", address=address, seconds=_LISTEN_SECONDS)
    except ThunderError as error:
        why = f"{other.host.name} cannot listen at {address}: {_reason(error)}"
        return {**row, "ms": None, "fault": f"{why}; is it the address of its end of the link?"}
    asked = {"address": address, "port": port, "rounds": _ROUNDS, "seconds": _CONNECT_SECONDS}
    try:
        return {**row, "ms": one.call("ping", **asked), "fault": ""}
    except ThunderError as error:
        why = f"{_reason(error)}; is the cable in, and the link up?"
        return {**row, "ms": None, "fault": why}


def _reason(error: ThunderError) -> str:
    """Return what a host refused, without its name."""
    return str(error).partition("): ")[2] or str(error)


def rank_weights(speeds: Sequence[float | None]) -> list[int] | None:
    """Return small whole shares of rows that are near the speeds of ranks, None: equal ones do."""
    known = [speed for speed in speeds if speed]
    if len(known) < len(speeds) or len(known) < 2 or max(known) <= _ALIKE * min(known):
        return None
    ratios = [speed / min(known) for speed in known]
    candidates = [[round(scale * ratio) for ratio in ratios] for scale in range(1, _LARGEST + 1)]
    return min(candidates, key=lambda weights: (_unused(weights, known), max(weights)))


def _unused(weights: Sequence[int], speeds: Sequence[float]) -> float:
    """Return the share of all speed that is waited away, to a twentieth: a step ends with the last.

    A twentieth, so that large weights win nothing by being a little nearer.
    """
    step = max(weight / speed for weight, speed in zip(weights, speeds, strict=True))
    return round(20 * (1 - sum(weights) / step / sum(speeds)))
