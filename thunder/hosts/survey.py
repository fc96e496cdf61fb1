"""What the hosts of a site are and have, all asked at once: plain data.

A host that cannot be asked is told with the reason, and keeps no other from being shown.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.hosts import connection, examination, links, rank_weights
from thunder.hosts.connection import Connection, Lost
from thunder.hosts.host import Host
from thunder.hosts.links import Node

Row = dict[str, Any]


def of_hosts(
    hosts: Mapping[str, Host], ranks_on: Sequence[Mapping[str, str]], *, speed: bool = False
) -> dict[str, Any]:
    """Return what each host says, the links between those that have ranks, and what is advised.

    Args:
        ranks_on: the site's; those that are no hosts here are left out.
        speed: whether each multiplies matrices for a second, one after another.
    """
    ranks = [one for one in ranks_on if one["name"] in hosts]
    with _opened(hosts) as (ways, rows):
        with ThreadPoolExecutor(len(hosts)) as pool:
            for name, found in zip(ways, pool.map(examination.of, ways.values()), strict=True):
                rows[name] |= found
        ring = _links(ways, ranks)
        for name, way in ways.items() if speed else ():
            if rows[name]["environment"]:
                rows[name] |= examination.speed(way)
    for row in rows.values():
        row["ready"] = row["reachable"] and not row["faults"]
    is_ready = all(row["ready"] for row in rows.values()) and not any(one["fault"] for one in ring)
    speeds = [rows[one["name"]].get("gigaflops") for one in ranks]
    return {
        "hosts": list(rows.values()),
        "links": ring,
        "ready": is_ready,
        "rank_weights": rank_weights.advised(speeds),
    }


@contextlib.contextmanager
def _opened(
    hosts: Mapping[str, Host],
) -> Iterator[tuple[dict[str, Connection], dict[str, Row]]]:
    """Yield the open ways by host, and a row for each host, with the reason where it has none."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(max(1, len(hosts))) as pool:

        def opened(host: Host) -> Connection | ThunderError:
            try:
                return stack.enter_context(connection.opened(host))
            except ThunderError as error:
                return error

        answers = dict(zip(hosts, pool.map(opened, hosts.values()), strict=True))
        ways = {name: way for name, way in answers.items() if isinstance(way, Connection)}
        yield ways, {name: _row(host, answers[name]) for name, host in hosts.items()}


def _links(ways: Mapping[str, Connection], ranks_on: Sequence[Mapping[str, str]]) -> list[Row]:
    """Return what is measured of each link of a ring of which both ends are open."""
    nodes = [Node(one["name"], one["address"], ways.get(one["name"])) for one in ranks_on]
    return [_link(*pair) for pair in links.pairs(nodes) if all(node.way for node in pair)]


def _link(one: Node, other: Node) -> Row:
    row = {"from": one.name, "to": other.name, "address": other.address}
    try:
        link = links.measured(one, other)
    except Lost as error:
        return {**row, "ms": None, "fault": str(error)}
    return {**row, "ms": link.ms, "fault": link.fault}


def _row(host: Host, answer: Connection | ThunderError) -> Row:
    is_open = isinstance(answer, Connection)
    return {
        "host": host.name,
        "ssh": host.ssh,
        "workspace": host.workspace,
        "reachable": is_open,
        "environment": None,
        "warnings": [],
        "faults": [] if is_open else [str(answer)],
    }
