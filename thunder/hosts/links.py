"""The links that a ring goes by, measured between its hosts themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from thunder.ground.errors import ThunderError, reason_of
from thunder.hosts.connection import Connection, Lost
from thunder.hosts.far import link
from thunder.hosts.far.refusal import Refused

_CONNECT_SECONDS = 5.0
_LISTEN_SECONDS = 3 * _CONNECT_SECONDS
_ANSWER_SECONDS = 2 * _CONNECT_SECONDS
_ROUNDS = 20

Item = TypeVar("Item")


@dataclass(frozen=True)
class Node:
    """A host of a ring.

    Args:
        name: of the host.
        address: that it has on the ring.
        way: to a host behind ssh; None: this machine.
    """

    name: str
    address: str
    way: Connection | None

    def call(self, op: str, **arguments: Any) -> Any:
        """Ask the host what its agent answers; this machine answers for itself.

        Raises:
            Lost: there is no way to it.
            ThunderError: it refuses, with its reason.
        """
        if self.way:
            return self.way.call(op, within=_ANSWER_SECONDS, **arguments)
        try:
            return getattr(link, op)(**arguments)
        except (OSError, Refused) as error:
            why = reason_of(error) if isinstance(error, OSError) else str(error)
            raise ThunderError(f"host {self.name}: {why}", "environment") from error


@dataclass(frozen=True)
class Link:
    """The way of a byte from one host of a ring to the next.

    Args:
        ms: there and back, None where it does not arrive.
        fault: why it does not.
    """

    one: Node
    other: Node
    ms: float | None
    fault: str


def pairs(hosts: Sequence[Item]) -> list[tuple[Item, Item]]:
    """Return each host of a ring with the next one; a single host has no link."""
    return list(zip(hosts, [*hosts[1:], hosts[0]], strict=True)) if len(hosts) > 1 else []


def measured(one: Node, other: Node) -> Link:
    """Measure a link, in the direction in which a rank of the one connects to the other.

    Raises:
        Lost: there is no way to one of them, which says nothing of their link.
    """
    to = {"address": other.address, "seconds": _CONNECT_SECONDS, "rounds": _ROUNDS}
    try:
        port = other.call("listen", address=other.address, seconds=_LISTEN_SECONDS)
    except Lost:
        raise
    except ThunderError as error:
        why = f"{other.name} cannot listen at {other.address}: {_reason(error)}"
        return Link(one, other, None, f"{why}; is it the address of its end of the link?")
    try:
        return Link(one, other, float(one.call("ping", port=port, **to)), "")
    except Lost:
        raise
    except ThunderError as error:
        return Link(one, other, None, f"{_reason(error)}; is the cable in, and the link up?")


def _reason(error: ThunderError) -> str:
    """Return what a host refused, without its name."""
    return str(error).partition(": ")[2]
