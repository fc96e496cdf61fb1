"""Where the ranks of a run are: on this machine, or each on a host of its site, by way of ssh."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.hosts import connection, environment, host, inputs, links, provisions
from thunder.hosts.connection import Connection
from thunder.hosts.links import Node
from thunder.hosts.workspace import cache_in
from thunder.training.rank_process import Start

HERE, name_here = host.HERE, host.name_here  # for lanes, which know hosts by this room alone
LOCAL = "127.0.0.1"
_KEEPER = ("-m", "thunder.hosts.keeper")


@dataclass(frozen=True)
class Slot:
    """The place of a rank.

    Args:
        host: the name of its host.
        address: of that host, on the link that the ring goes by.
        python: the words that this very code is run with there: a module follows them.
        way: to a host behind ssh; None: this machine.
    """

    host: str = host.HERE
    address: str = LOCAL
    python: tuple[str, ...] = (sys.executable,)
    way: Connection | None = None

    @property
    def node(self) -> Node:
        """Its host as a node of the ring."""
        return Node(self.host, self.address, self.way)

    def start(self, words: Sequence[str]) -> Start:
        """Return how a rank is started here.

        Args:
            words: what follows Python: `-m` and a module.
        """
        command = [*self.python, *words]
        if self.way is None:
            return Start(command)
        kept = [*self.python, *_KEEPER, *command]
        return Start(self.way.command(kept), self.way)


class LinkDown(ThunderError):
    """A host does not reach another by the link that the ring goes by."""


@contextmanager
def opened(site: Mapping[str, Any], ranks: int, command: str | None = None) -> Iterator[list[Slot]]:
    """Yield the slot of each rank, in blocks over the hosts of a site, with ways to them open.

    Args:
        command: that chose the site, for advice.

    Raises:
        ThunderError: a host cannot be reached, or cannot run this code.
    """
    named, known = site["ranks_on"], host.of_site(site, command)
    with ExitStack() as stack:
        order = host.in_blocks(range(len(named)), ranks)
        slots = {n: _slot(named[n], known, len(named) > 1, stack) for n in dict.fromkeys(order)}
        yield [slots[n] for n in order]


def _slot(
    named: Mapping[str, str], known: Mapping[str, host.Host], is_of_several: bool, stack: ExitStack
) -> Slot:
    name, address = named["name"], named["address"]
    if name not in known:  # a single host of no description is this machine
        return Slot(name, address if is_of_several else LOCAL)
    way = stack.enter_context(connection.opened(known[name]))
    return Slot(name, address, tuple(environment.command(way)), way)


def is_far(slots: Sequence[Slot]) -> bool:
    """Say whether a rank is not on this machine."""
    return any(slot.way for slot in slots)


def by_host(slots: Sequence[Slot]) -> list[Slot]:
    """Return one slot for each host."""
    return [*{slot.host: slot for slot in reversed(slots)}.values()][::-1]


def addresses(slots: Sequence[Slot]) -> list[str]:
    """Return a free address for each rank; another process may still take it."""
    counts = {one.host: [s.host for s in slots].count(one.host) for one in by_host(slots)}
    free = {one.host: iter(_free_ports(one, counts[one.host])) for one in by_host(slots)}
    return [f"{slot.address}:{next(free[slot.host])}" for slot in slots]


def _free_ports(slot: Slot, count: int) -> list[int]:
    ports: list[int] = slot.node.call("free_ports", address=slot.address, count=count)
    return ports


def refuse_broken_link(slots: Sequence[Slot]) -> None:
    """Measure the links from each host to the next.

    Raises:
        LinkDown: one does not reach the next, with the addresses of the link.
        Lost: there is no way to one of them.
    """
    for one, other in links.pairs([slot.node for slot in by_host(slots)]):
        if fault := links.measured(one, other).fault:
            way = f"{one.name} → {other.name} ({one.address} → {other.address})"
            raise LinkDown(f"the link {way} is down: {fault}", "ranks")


def input_of(slot: Slot, config: Mapping[str, Any], name: str, here: Path) -> str:
    """Return the folder of a slot's host that has an input of a job, as its preflight saw.

    Args:
        here: where it lies on this machine.
    """
    if slot.way is None:
        return str(here)
    (item,) = (one for one in inputs.of_job(config, {name: here}) if one.name == name)
    place = inputs.place(slot.way, item, config["runtime"]["site"])
    return str(slot.way.call("placed", path=place.path))


def bring(slot: Slot, folder: Path, name: str) -> str:
    """Bring the files of a folder to a slot's host for one run; returns its place there.

    Args:
        name: what they are and the name of the run's folder, as `word-name`.
    """
    if slot.way is None:
        return str(folder)
    return provisions.bring(slot.way, folder, name)


def remove(slot: Slot, folder: str) -> None:
    """Remove what was brought for a run alone, if there is still a way to its host."""
    if slot.way is not None:
        provisions.remove(slot.way, folder)


def cache(slot: Slot) -> str:
    """Return the folder on the host of a slot for what can be made again."""
    return cache_in(workspace(slot))


def workspace(slot: Slot) -> str:
    """Return thunder's folder on the host of a slot that is not this machine."""
    assert slot.way is not None
    return environment.workspace(slot.way)
