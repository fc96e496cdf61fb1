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

from thunder.ground import moving, wording
from thunder.ground.errors import ThunderError
from thunder.hosts import connection, environment, host, inputs, sync
from thunder.hosts.connection import Connection
from thunder.hosts.inputs import Input, Place
from thunder.jobs import kinds
from thunder.training import events, host_links, preflight
from thunder.training.events import Emit
from thunder.training.preflight import Checks, Skip, megabytes

HERE = host.HERE
ANSWERS = host_links.ANSWERS
OWN_INPUTS = "stand-ins and own folders"
RUNS_THERE = "thunder runs there"
MENDED = "mended"
_BEAT_SECONDS = 5.0
_COLD = ("data", "model")  # causes that bringing files can mend


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
    hosts = host.of_site(site)
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
    if not checks.passed(ANSWERS) or way is None:
        return checks, way
    later = _bring_own(work, way, places, checks)
    if not kinds.KINDS[work.config["kind"]].there:
        _compare(work, way, places, checks)
        _put_off(checks, later)
        return checks, way
    order = _order(work, way, places, checks)
    if order is None:
        return checks, way
    rows = _checked(work, way, order)
    is_cold = not {*_COLD}.isdisjoint(rows.causes)
    mends = work.brings and work.runtime.get("mend")
    if is_cold and mends and _mend(work, way, places, checks):
        rows = _checked(work, way, order)
    _put_off(rows, later)
    if not any(row["check"] == MENDED for row in preflight.failed(checks.rows)):
        _advise(work, rows)
    checks.rows += rows.rows
    checks.causes += rows.causes
    return checks, way


def _bring_own(
    work: _Work, way: Connection, places: Mapping[str, Place], checks: Checks
) -> list[Input]:
    """Bring what lies in thunder's own folder there: nobody else could have brought it.

    Returns what is left to be brought when a run begins.
    """
    later: list[Input] = []
    own = [item for item in work.items if places[item.name].is_ours]
    if not own:
        return later
    with checks.check(OWN_INPUTS, "environment") as measured:
        if not work.brings:
            states = {one.name: sync.state(way, one, places[one.name]) for one in own}
            later += [one for one in own if _is_cold(states[one.name])]
            if later:
                told = (f"{one.name}, {megabytes(states[one.name].bytes)}" for one in later)
                raise Skip(f"brought when a run begins: {'; '.join(told)}")
            measured("nothing is lacking")
            return later
        every = [_brought_there(work, way, one, places[one.name]) for one in own]
        told = (f"{one.name} {_brought(before)}" for one, before in zip(own, every, strict=True))
        measured("; ".join(told))
    return later


def _is_cold(state: sync.State) -> bool:
    return bool(state.lacking) and not state.differing


def _put_off(checks: Checks, later: Sequence[Input]) -> None:
    """Have what cannot be checked before thunder brings it be no fault."""
    causes, left = {item.cause for item in later}, list[Any]()
    failed = [row for row in checks.rows if row["status"] == "FAIL"]
    for row, cause in zip(failed, checks.causes, strict=True):
        if cause in causes:
            row |= {"status": "SKIPPED", "reason": f"needs: {OWN_INPUTS}"}
        else:
            left.append(cause)
    checks.causes[:] = left


def _brought_there(work: _Work, way: Connection, item: Input, place: Place) -> sync.State:
    show = moving.lines(f"host {way.host.name}: {item.name} {item.label}", work.say)
    return sync.bring(way, item, place, show, work.ended.is_set)


def _brought(before: sync.State) -> str:
    return "is there" if before.is_whole else f"brought, {megabytes(before.bytes)}"


def _compare(work: _Work, way: Connection, places: Mapping[str, Place], checks: Checks) -> None:
    """Check that a host has what this machine has, where a kind of job knows no more than that."""
    own = Checks(way.host.name)
    for item in work.items:
        with own.check(f"{item.name} whole", item.cause) as measured:
            measured(places[item.name].path)
            state = sync.state(way, item, places[item.name])
            faults = [*(f"{name}: missing" for name in state.lacking),
                      *(f"{name}: another file" for name in state.differing)]  # fmt: skip
            if faults:
                more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
                raise ThunderError(f"{faults[0]}{more}")
    _advise(work, own)
    checks.rows += own.rows
    checks.causes += own.causes


def _order(
    work: _Work, way: Connection, places: Mapping[str, Place], checks: Checks
) -> dict[str, Any] | None:
    """Have this very code there; returns what it is to check, None if it cannot run there."""
    order: dict[str, Any] = {}
    with checks.check(RUNS_THERE, "environment") as measured:
        words = environment.command(way)
        measured(words[-1])
        order = {
            "words": [*words, "-m", "thunder.training.there"],
            "host": way.host.name,
            "config": work.config,
            "places": {name: place.path for name, place in places.items()},
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
        done = way.call("run", words=order["words"], seconds=within, within=within + 5, said=said)
        if done["code"]:
            last = (done["err"].strip().splitlines() or [f"it ended with {done['code']}"])[-1]
            raise ThunderError(f"they broke off: {last}", "crash")
        answer = json.loads(done["out"])
        checks.rows, checks.causes = answer["rows"], answer["causes"]
    return failed if failed.causes else checks


def _mend(work: _Work, way: Connection, places: Mapping[str, Place], checks: Checks) -> bool:
    """Bring what the host lacks; says whether anything was brought."""
    done: list[str] = []
    with checks.check(MENDED, "environment") as measured:
        for item in work.items:
            name = f"{item.name} {item.label}"
            work.say(f"host {way.host.name}: looking what it lacks of {name}")
            before = _brought_there(work, way, item, places[item.name])
            if not before.is_whole:
                text = f"{name} {_brought(before)}, {wording.count(len(before.lacking), 'file')}"
                work.say(f"host {way.host.name}: {text}")
                done.append(text)
        measured("; ".join(done))
    return bool(done)


def _advise(work: _Work, checks: Checks) -> None:
    """Say with what is cold which command brings it."""
    advice = f"; bring it: {sync.command_for(work.runtime, checks.host)}"
    failed = [row for row in checks.rows if row["status"] == "FAIL"]
    for row, cause in zip(failed, checks.causes, strict=True):
        if cause in _COLD:
            row["reason"] += advice
