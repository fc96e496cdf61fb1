"""Environments made on hosts: venv and pip there, in the versions that are here.

Who asked may lose the way, or ask twice: the second follows what goes on.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from thunder.ground.errors import Stopped, ThunderError
from thunder.hosts import building, connection, environment, lending
from thunder.hosts.connection import Connection
from thunder.hosts.host import Host
from thunder.hosts.requirements import Part

SECONDS = 1800.0


@dataclass(frozen=True)
class Prepared:
    """An environment of a host.

    Args:
        is_new: whether it was made now.
        seconds: that it took.
    """

    folder: str
    is_new: bool
    seconds: float


def prepare(
    way: Connection,
    parts: Mapping[str, Part],
    tell: Callable[[str], None],
    *,
    lends_network: bool = False,
    seconds: float = SECONDS,
    stop: Callable[[], bool] = lambda: False,
) -> Prepared:
    """Make an environment there, unless one of these parts is whole and can be used.

    Args:
        tell: is given what happens meanwhile, line by line.
        lends_network: whether pip there goes through this machine.
        seconds: after which it is given up.
        stop: asked now and then; what was begun here is ended there.

    Raises:
        ThunderError: it cannot be made, why, and what to do instead; or it was stopped.
    """
    begun = time.monotonic()
    there = environment.prepared(way, parts)
    if there and not environment.fault(way, environment.python_in(there), parts):
        return Prepared(there, False, time.monotonic() - begun)
    build = building.of(way, parts)
    tell(f"Python {build.python['version']}, {build.python['path']}")
    with _network(way, lends_network) as variables:
        number = building.begin(build, seconds, variables, stop)
        if number is None:
            tell("is being made already; following it")
        deadline = time.monotonic() + seconds + building.BEGIN_SECONDS
        outcome = building.follow(build, tell, stop, deadline)
    if outcome is None:
        if number is not None:
            building.kill(build, number)
        raise Stopped(f"host {way.host.name}: stopped while an environment was made")
    if outcome["code"]:
        raise building.failure(build, outcome)
    building.tidy(build)
    return Prepared(build.target, outcome["is_new"], time.monotonic() - begun)


def on_hosts(
    hosts: Mapping[str, Host],
    parts: Mapping[str, Part],
    tell: Callable[[str], None],
    *,
    lends_network: bool = False,
) -> list[dict[str, Any]]:
    """Prepare hosts side by side; return of each what was done, or why nothing could be.

    Args:
        tell: is given each line, with the name of its host before it.
    """
    width, stopping = max(map(len, hosts)), threading.Event()

    def on(host: Host) -> dict[str, Any]:
        def say(line: str) -> None:
            tell(f"{host.name:<{width}}  {line}")

        row: dict[str, Any] = {"host": host.name, "fault": ""}
        try:
            with connection.opened(host) as way:
                made = prepare(way, parts, say, lends_network=lends_network, stop=stopping.is_set)
        except ThunderError as error:
            say(f"FAIL  {str(error).removeprefix(f'host {host.name}: ')}")
            return row | {"fault": str(error)}
        how = f"made in {made.seconds:.0f} s" if made.is_new else "is there already: nothing to do"
        say(f"PASS  {building.shown(host, made.folder)} {how}")
        return row | asdict(made)

    with ThreadPoolExecutor(len(hosts)) as pool:
        try:
            return list(pool.map(on, hosts.values()))
        finally:
            stopping.set()  # Ctrl-C: the others are not waited for


def _network(way: Connection, lends: bool) -> AbstractContextManager[dict[str, str]]:
    return lending.network(way) if lends else nullcontext({})
