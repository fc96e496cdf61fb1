"""The links between the hosts of a ring, as rows of the preflight."""

from collections.abc import Mapping, Sequence

from thunder.ground.errors import ThunderError
from thunder.hosts import links
from thunder.hosts.connection import Connection
from thunder.hosts.links import Node
from thunder.training.preflight import Checks, Skip

ANSWERS = "host answers"
HOSTS_REACH = "hosts reach each other"


def measure(
    ring: Sequence[Mapping[str, str]], opened: Mapping[str, Connection | None], checks: Checks
) -> None:
    """Measure the links that a ring will use, from each host to the next.

    Args:
        ring: the hosts of its ranks, in their order.
        opened: the ways to those that are behind ssh, None: it does not answer.
    """
    silent = [name for name, way in opened.items() if way is None]
    nodes = [Node(one["name"], one["address"], opened.get(one["name"])) for one in ring]
    pairs = links.pairs(nodes)
    if not pairs:
        with checks.check(HOSTS_REACH, "ranks"):
            raise Skip("all ranks are on one host")
    for one, other in pairs:
        between = Checks(f"{one.name} → {other.name}", checks.beat)
        with between.check(HOSTS_REACH, "ranks") as measured:
            if one.name in silent or other.name in silent:
                raise Skip(f"needs: {ANSWERS}")
            link = links.measured(one, other)
            if link.fault:
                raise ThunderError(
                    f"{one.name} does not reach {other.name} at {other.address}: {link.fault}",
                    "ranks",
                )
            measured(f"{other.address} in {link.ms:.2f} ms, there and back")
        checks.rows += between.rows
        checks.causes += between.causes
