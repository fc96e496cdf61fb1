"""The preflight of the hosts that ranks run on: each checked there, all rows in one table."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.hosts import connection, environment, host, inputs, programs
from thunder.hosts.connection import Connection
from thunder.hosts.inputs import Input, Place
from thunder.jobs import kinds
from thunder.training import events, host_inputs, host_links, preflight
from thunder.training.events import Emit
from thunder.training.host_inputs import HostInputs
from thunder.training.preflight import Checks

ANSWERS = host_links.ANSWERS
RUNS_THERE = "thunder runs there"
_BEAT_SECONDS = 5.0


@dataclass(frozen=True)
class _Work:
    """What is to be checked of every host.

    Args:
        say: tells a person something; another thread shows it.
        ended: set when nobody waits any more.
        brings: whether what a host lacks may be brought to it.
    """

    config: Mapping[str, Any]
    items: Sequence[Input]
    say: Callable[[str], None]
    ended: threading.Event
    brings: bool

    @property
    def runtime(self) -> Mapping[str, Any]:
        return self.config["runtime"]  # type: ignore[no-any-return]

    @property
    def module(self) -> Any:
        return kinds.loaded(kinds.KINDS[self.config["kind"]].there or "")


def far_ranks(config: Mapping[str, Any]) -> list[str]:
    """Return the host of each rank that is behind ssh, in the order of the ranks."""
    site, ranks = config["runtime"]["site"], config.get("train", {}).get("ranks", 1)
    names = [str(one["name"]) for one in host.in_blocks(site["ranks_on"], ranks)]
    return [name for name in names if name in site.get("hosts", {})]


def run(
    config: Mapping[str, Any],
    here: Mapping[str, Path],
    checks: Checks,
    emit: Emit = lambda event: None,
    names: Sequence[str] = (),
    *,
    brings: bool = True,
) -> None:
    """Check every host that ranks of a job run on; its rows join those of this machine.

    Args:
        here: where the job's inputs lie on this machine, by section.
        names: the hosts that are checked, where these are not those of the ranks.
        brings: whether what thunder would bring for a run is brought.
    """
    site = config["runtime"]["site"]
    hosts = host.of_site(site, config["runtime"].get("reproduce"))
    said: list[str] = []
    work = _Work(config, inputs.of_job(config, here), said.append, threading.Event(), brings)
    # What is stopped closes the ways first: then who works in the pool comes to its end.
    with ThreadPoolExecutor(len(hosts)) as pool, ExitStack() as ways:
        ways.callback(work.ended.set)
        asked = dict.fromkeys(names or far_ranks(config))
        every = {name: pool.submit(_host, work, hosts[name], ways) for name in asked}
        opened: dict[str, Connection | None] = {}
        for name, future in every.items():
            own, opened[name] = _awaited(future, checks.beat, said, emit)
            checks.rows += own.rows
            checks.causes += own.causes
        placed = host.in_blocks(site["ranks_on"], config.get("train", {}).get("ranks", 1))
        ring = [*{one["name"]: one for one in placed}.values()]
        if {*far_ranks(config)} <= {*opened}:
            host_links.measure(ring, opened, checks)


def _awaited(future: "Future[Any]", beat: Callable[[], None], said: list[str], emit: Emit) -> Any:
    """Wait for a host, and meanwhile say that the lane is at work, and what is done."""
    while True:
        try:
            return future.result(_BEAT_SECONDS)
        except NotYet:
            beat()
        finally:
            while said:
                emit(events.note(said.pop(0)))


def _host(work: _Work, one: host.Host, ways: ExitStack) -> tuple[Checks, Connection | None]:
    """Check one host; returns its rows, and the connection if it has one."""
    checks, way, places = Checks(one.name), None, dict[str, Place]()
    with checks.check(ANSWERS, "environment") as measured:
        way = ways.enter_context(connection.opened(one))
        measured(f"ssh {one.ssh}, Python {way.python}")
        site = work.runtime["site"]
        places = {item.name: inputs.place(way, item, site) for item in work.items}
    if way is not None and checks.passed(ANSWERS):
        _look(work, _inputs(work, way, places), checks)
    return checks, way


def _inputs(work: _Work, way: Connection, places: Mapping[str, Place]) -> HostInputs:
    return HostInputs(
        way, work.items, places, work.runtime, work.say, work.ended.is_set, brings=work.brings
    )


def _look(work: _Work, found: HostInputs, checks: Checks) -> None:
    """Run the checks of a kind on a host, once more where its inputs could be mended."""
    later = host_inputs.bring_own(found, checks)
    if not kinds.KINDS[work.config["kind"]].there:
        host_inputs.compare(found, checks)
        host_inputs.put_off(checks, later)
        return
    order = _order(work, found, checks)
    if order is None:
        return
    rows = _checked(work, found.way, order)
    if host_inputs.is_cold(rows) and host_inputs.mend(found, checks):
        rows = _checked(work, found.way, order)
    host_inputs.put_off(rows, later)
    if not any(row["check"] == host_inputs.MENDED for row in preflight.failed(checks.rows)):
        host_inputs.advise(found, rows)
    checks.rows += rows.rows
    checks.causes += rows.causes


def _order(work: _Work, found: HostInputs, checks: Checks) -> dict[str, Any] | None:
    """Have this very code there; returns what it is to check, None if it cannot run there."""
    order, way = dict[str, Any](), found.way
    with checks.check(RUNS_THERE, "environment") as measured:
        words = environment.command(way)
        measured(words[-1])
        order = {
            "words": [*words, "-m", "thunder.training.there"],
            "host": way.host.name,
            "config": work.config,
            "places": {name: place.path for name, place in found.places.items()},
            "alike": work.module.alike(),
            "code": environment.code_digest(),
            "workspace": environment.workspace(way),
            "ranks": far_ranks(work.config).count(way.host.name),
        }
    return order or None


def _checked(work: _Work, way: Connection, order: Mapping[str, Any]) -> Checks:
    """Run the checks there; what kept them from being run is a row as well."""
    checks, within = Checks(way.host.name), work.runtime["start_seconds"]
    said = json.dumps({key: value for key, value in order.items() if key != "words"})
    failed = Checks(way.host.name)
    with failed.check("checks on the host", "environment"):
        answer = programs.answer(way, order["words"], within, said)
        checks.rows, checks.causes = answer["rows"], answer["causes"]
    return failed if failed.causes else checks
