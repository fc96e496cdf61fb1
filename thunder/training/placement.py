"""Where the ranks of a run are: on this machine, or each on a host of its site, by way of ssh."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.hosts import connection, environment, host, inputs, provisions
from thunder.hosts.connection import Connection, Lost
from thunder.hosts.far import link
from thunder.training.rank_process import Start

LOCAL = "127.0.0.1"
_KEEPER = ("-m", "thunder.hosts.keeper")
_LISTEN_SECONDS = 5.0
_PING_SECONDS = 3.0
_PINGS = 20


@dataclass(frozen=True)
class Seat:
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
def seated(site: Mapping[str, Any], ranks: int) -> Iterator[list[Seat]]:
    """Yield the place of each rank, in blocks over the hosts of a site, with ways to them open.

    Raises:
        ThunderError: a host cannot be reached, or cannot run this code.
    """
    named, known = site["ranks_on"], host.of_site(site)
    with ExitStack() as stack:
        order = host.in_blocks(range(len(named)), ranks)
        seats = {n: _seat(named[n], known, len(named) > 1, stack) for n in dict.fromkeys(order)}
        yield [seats[n] for n in order]


def _seat(
    named: Mapping[str, str], known: Mapping[str, host.Host], is_of_several: bool, stack: ExitStack
) -> Seat:
    name, address = named["name"], named["address"]
    if name not in known:  # a single host of no description is this machine
        return Seat(address=address if is_of_several else LOCAL)
    way = stack.enter_context(connection.opened(known[name]))
    return Seat(name, address, tuple(environment.command(way)), way)


def is_far(seats: Sequence[Seat]) -> bool:
    """Say whether a rank is not on this machine."""
    return any(seat.way for seat in seats)


def by_host(seats: Sequence[Seat]) -> list[Seat]:
    """Return one seat for each host."""
    return [*{seat.host: seat for seat in reversed(seats)}.values()][::-1]


def addresses(seats: Sequence[Seat]) -> list[str]:
    """Return a free address for each rank; another process may still take it."""
    counts = {one.host: [s.host for s in seats].count(one.host) for one in by_host(seats)}
    free = {one.host: iter(_free_ports(one, counts[one.host])) for one in by_host(seats)}
    return [f"{seat.address}:{next(free[seat.host])}" for seat in seats]


def _free_ports(seat: Seat, count: int) -> list[int]:
    if seat.way is None:
        return link.free_ports(seat.address, count)
    ports: list[int] = seat.way.call("free_ports", address=seat.address, count=count)
    return ports


def latencies(seats: Sequence[Seat]) -> dict[str, float]:
    """Return how long a byte takes from each host to the next and back, in milliseconds.

    Raises:
        LinkDown: one does not reach the next, with the addresses of the link.
        Lost: there is no way to one of them.
    """
    every = by_host(seats)
    pairs = [*zip(every, [*every[1:], *every[:1]], strict=True)] if len(every) > 1 else []
    return {f"{one.host} → {other.host}": _latency(one, other) for one, other in pairs}


def _latency(one: Seat, other: Seat) -> float:
    try:
        port = _call(other, "listen", address=other.address, seconds=_LISTEN_SECONDS)
        to = {"address": other.address, "port": port, "rounds": _PINGS, "seconds": _PING_SECONDS}
        return float(_call(one, "ping", **to))
    except Lost:
        raise
    except (ThunderError, OSError) as error:
        way = f"{one.host} → {other.host} ({one.address} → {other.address})"
        raise LinkDown(f"the link {way} is down: {error}", "ranks") from error


def _call(seat: Seat, op: str, **arguments: Any) -> Any:
    if seat.way is None:
        return getattr(link, op)(**arguments)
    return seat.way.call(op, **arguments, within=_LISTEN_SECONDS)


def input_of(seat: Seat, config: Mapping[str, Any], name: str, here: Path) -> str:
    """Return the folder of a seat's host that has an input of a job, as its preflight saw.

    Args:
        here: where it lies on this machine.
    """
    if seat.way is None:
        return str(here)
    (item,) = (one for one in inputs.of_job(config, {name: here}) if one.name == name)
    place = inputs.place(seat.way, item, config["runtime"]["site"])
    return str(seat.way.call("placed", path=place.path))


def bring(seat: Seat, folder: Path, name: str) -> str:
    """Bring the files of a folder to a seat's host for one run; returns its place there.

    Args:
        name: what they are and the name of the run's folder, as `word-name`.
    """
    if seat.way is None:
        return str(folder)
    return provisions.bring(seat.way, folder, name)


def remove(seat: Seat, folder: str) -> None:
    """Remove what was brought for a run alone, if there is still a way to its host."""
    if seat.way is not None:
        provisions.remove(seat.way, folder)


def workspace(seat: Seat) -> str:
    """Return thunder's folder on the host of a seat that is not this machine."""
    assert seat.way is not None
    return environment.workspace(seat.way)
