"""The links between the hosts of a ring, measured as its ranks will use them."""

from collections.abc import Mapping, Sequence
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.hosts import host
from thunder.hosts.connection import Connection, Lost
from thunder.hosts.far import link
from thunder.training.preflight import Checks, Skip

ANSWERS = "host answers"
HOSTS_REACH = "hosts reach each other"
_PING_SECONDS = 5.0
_ROUNDS = 20


def measure(
    ring: Sequence[Mapping[str, str]], opened: Mapping[str, Connection | None], checks: Checks
) -> None:
    """Measure the links that a ring will use, from each host to the next.

    Args:
        ring: the hosts of its ranks, in their order.
        opened: the ways to those that are behind ssh, None: it does not answer.
    """
    pairs = list(zip(ring, [*ring[1:], *ring[:1]], strict=True))
    for one, other in pairs[:1] if len(ring) == 2 else pairs:
        between = Checks(f"{one['name']} → {other['name']}", checks.beat)
        with between.check(HOSTS_REACH, "ranks") as measured:
            if one["name"] == other["name"]:
                raise Skip("all ranks are on one host")
            ends = [opened.get(end["name"], host.HERE) for end in (one, other)]
            if None in ends:
                raise Skip(f"needs: {ANSWERS}")
            milliseconds = _ping(ends[0], ends[1], one["name"], other)
            measured(f"{other['address']} in {milliseconds:.2f} ms, there and back")
        checks.rows += between.rows
        checks.causes += between.causes


def _ping(one: Any, end: Any, name: str, other: Mapping[str, str]) -> float:
    address, within = other["address"], _PING_SECONDS
    try:
        port = _asked(end, "listen", address=address, seconds=2 * within)
        return float(
            _asked(one, "ping", address=address, port=port, rounds=_ROUNDS, seconds=within)
        )
    except Lost:
        raise
    except ThunderError as error:
        raise ThunderError(
            f"{name} does not reach {other['name']} at {address}: {error}; is the cable in, and "
            "the address in the site's ranks_on the one of that link?",
            "ranks",
        ) from error


def _asked(end: Any, op: str, **arguments: Any) -> Any:
    """Ask a host, or this machine, which is no other way to be reached."""
    if isinstance(end, Connection):
        return end.call(op, **arguments)
    try:
        return getattr(link, op)(**arguments)
    except OSError as error:
        raise ThunderError(f"this machine: {error}", "ranks") from error
