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

from thunder.ground import wording
from thunder.ground.errors import ThunderError
from thunder.hosts import connection, environment, host, inputs, sync
from thunder.hosts.connection import Connection, Lost
from thunder.hosts.far import link
from thunder.hosts.inputs import Input, Place
from thunder.jobs import kinds
from thunder.training import events
from thunder.training.events import Emit
from thunder.training.preflight import Checks, Skip, megabytes

HERE = host.HERE
ANSWERS = "host answers"
OWN_INPUTS = "stand-ins and own folders"
RUNS_THERE = "thunder runs there"
MENDED = "mended"
HOSTS_REACH = "hosts reach each other"
_BEAT_SECONDS = 5.0
_PING_SECONDS = 5.0
_ROUNDS = 20
_COLD = ("data", "model")  # causes that bringing files can mend


@dataclass(frozen=True)
class _Work:
    """What is to be checked of every host.

    Args:
        say: tells a person something; another thread shows it.
        ended: set when nobody waits any more.
    """

    config: Mapping[str, Any]
    items: Sequence[Input]
    say: Callable[[str], None]
    ended: threading.Event

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
) -> None:
    """Check every host that ranks of a job run on; its rows join those of this machine.

    Args:
        here: where the job's inputs lie on this machine, by section.
        names: the hosts that are checked, where these are not those of the ranks.
    """
    hosts = host.of_site(config["runtime"]["site"])
    said: list[str] = []
    work = _Work(config, inputs.of_job(config, here), said.append, threading.Event())
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
        _reach(_ring(config, opened), opened, checks)


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
    checks, way = Checks(one.name), None
    with checks.check(ANSWERS, "environment") as measured:
        way = ways.enter_context(connection.opened(one))
        measured(f"ssh {one.ssh}, Python {way.python}")
    if way is None:
        return checks, None
    site = work.runtime["site"]
    places = {item.name: inputs.place(way, item, site) for item in work.items}
    _bring_own(work, way, places, checks)
    if not kinds.KINDS[work.config["kind"]].there:
        _compare(work, way, places, checks)
        return checks, way
    order = _order(work, way, places, checks)
    if order is None:
        return checks, way
    rows = _checked(work, way, order)
    is_cold = not {*_COLD}.isdisjoint(rows.causes)
    if is_cold and work.runtime.get("mend") and _mend(work, way, places, checks):
        rows = _checked(work, way, order)
    _advise(work, rows)
    checks.rows += rows.rows
    checks.causes += rows.causes
    return checks, way


def _bring_own(work: _Work, way: Connection, places: Mapping[str, Place], checks: Checks) -> None:
    """Bring what lies in thunder's own folder there: nobody else could have brought it."""
    own = [item for item in work.items if places[item.name].is_ours]
    if not own:
        return
    with checks.check(OWN_INPUTS, "environment") as measured:
        every = [sync.bring(way, one, places[one.name], stop=work.ended.is_set) for one in own]
        told = zip(own, every, strict=True)
        measured("; ".join(f"{one.name} {_brought(before)}" for one, before in told))


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
            before = sync.bring(way, item, places[item.name], stop=work.ended.is_set)
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


def _ring(config: Mapping[str, Any], opened: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return the hosts of the ring, if those that are behind ssh were all asked for."""
    ranks = config.get("train", {}).get("ranks", 1)
    seats = host.in_blocks(config["runtime"]["site"]["ranks_on"], ranks)
    ring = [*{one["name"]: one for one in seats}.values()]
    return ring if {*far_ranks(config)} <= {*opened} else []


def _reach(
    ring: Sequence[Mapping[str, str]], opened: Mapping[str, Connection | None], checks: Checks
) -> None:
    """Measure the links that the ring will use, from each host to the next."""
    pairs = list(zip(ring, [*ring[1:], *ring[:1]], strict=True))
    for one, other in pairs[:1] if len(ring) == 2 else pairs:
        between = Checks(f"{one['name']} → {other['name']}", checks.beat)
        with between.check(HOSTS_REACH, "ranks") as measured:
            if one["name"] == other["name"]:
                raise Skip("all ranks are on one host")
            ends = [opened.get(end["name"], HERE) for end in (one, other)]
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
