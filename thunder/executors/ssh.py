"""A host behind ssh: a run lives there, detached, and is watched from here while somebody looks."""

import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thunder.executors import capacity, fitting, occupancy, owner, sending, watching, ways
from thunder.executors.place import Ending, Order, Stop
from thunder.executors.watching import Event, Living
from thunder.ground import files, run_files
from thunder.ground.errors import ThunderError
from thunder.hosts.connection import Lost
from thunder.hosts.host import Host, of_site
from thunder.runs import claim as claims
from thunder.runs.claim import Claim

_LOOK_SECONDS = 1.0
_HOST_FAULTS = ("environment", "write")  # of a machine, where another may do better


@dataclass
class Away:
    """A run that is to live on a host.

    Args:
        runtime: of the attempt.
        living: None until a host has it.
        besides: the hosts that do not take it, and why.
    """

    order: Order
    runtime: dict[str, Any]
    living: Living | None = None
    besides: dict[str, ThunderError] = field(default_factory=dict)


def start(order: Order) -> Away:
    """Look where a run is; what it takes to begin it is done while it is followed."""
    record = files.read_json(order.folder / run_files.RECORD)
    run = Away(order, record["attempts"][-1]["runtime"])
    if claim := claims.of_record(order.folder, record):
        capacity.hold(claim.host["name"])
        run.living = _living(run, claim, ways.Way(Host(**claim.host)))
    return run


def follow(run: Away, stopping: Stop) -> Iterator[Event]:
    """Yield what a run says; what it made is here before an event speaks of it.

    Raises:
        Gone: no host runs it any more, and it did not end.
        ThunderError: no host takes it.
    """
    while True:
        if run.living is None:
            yield from _begin(run, stopping)
        if run.living is None:
            return
        try:
            yield from watching.watch(run.living, stopping)
            return
        except owner.NotBegun as error:
            yield from _elsewhere(run, error)


def stop(run: Away) -> None:
    """Let go of a run that has ended, or is left to go on; end one that is neither."""
    living = run.living
    if living is None:
        return
    try:
        if not (living.ended or living.is_left or living.is_gone):
            owner.end(living.way.connection(), living.claim)
            claims.drop(living.folder)
    except ThunderError:
        pass  # its claim stays: no other host gets the run before that is void
    finally:
        capacity.give_back(living.host)
        living.way.close()


def fetch(run: Away) -> Ending:
    """Say how a run ended; what it made is here already."""
    living = run.living
    if living is None or living.ended is None:
        return Ending(None, None, left_on=living.host if living else None)
    return Ending(living.ended["result"], living.ended["error"])


def release(folder: Path) -> None:
    """Have no host work on the run of a folder that is to be begun anew.

    Raises:
        ThunderError: a host that may still work on it is out of reach.
    """
    claim = claims.read(folder)
    if claim is None:
        return
    try:
        with ways.to(Host(**claim.host)) as way:
            owner.end(way, claim)
    except ThunderError as error:
        if not claim.is_void:
            until = time.strftime("%Y-%m-%d %H:%M", time.localtime(claim.deadline))
            message = f"{error}; an earlier attempt may go on there until {until}"
            raise ThunderError(message, "environment") from error
    claims.drop(folder)


def tell_to_end(claim: Claim) -> None:
    """Tell a host to end a run, resumably.

    Raises:
        ThunderError: the host is out of reach.
    """
    with ways.to(Host(**claim.host)) as way:
        owner.tell_to_end(way, claim)


def _living(run: Away, claim: Claim, way: ways.Way) -> Living:
    unattended, most = run.runtime["unattended_seconds"], run.runtime["jobs"]
    return Living(run.order, unattended, most, claim, way)


def _claimed(run: Away, way: ways.Way, stopping: Stop) -> Generator[Event, None, Claim]:
    """Bring a run to a host and claim it; yield how far that is."""
    said: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        claiming = pool.submit(
            sending.claimed, way.connection(), run.order, stopping.is_set, said.append
        )
        while True:
            is_done = bool(wait([claiming], _LOOK_SECONDS).done)
            while said:
                yield {"event": "note", "text": said.pop(0)}
            if is_done:
                return claiming.result()


def _elsewhere(run: Away, error: owner.NotBegun) -> Iterator[Event]:
    """Give a run that did not begin on its host to another one.

    Raises:
        ThunderError: there is none; why it did not begin.
    """
    name = run.living.host if run.living else ""
    run.besides[name] = error
    if run.living is None or {*run.runtime["site"]["runs_on"]} <= {*run.besides}:
        raise error
    yield {"event": "warning", "text": f"{error}; it is begun on another host"}
    claims.drop(run.order.folder)
    capacity.give_back(name)
    run.living.way.close()
    run.living = None


def _begin(run: Away, stopping: Stop) -> Iterator[Event]:
    """Have the first host that can begin a run."""
    site = run.runtime["site"]
    hosts = of_site(site, run.runtime["reproduce"])
    for name, lacks in run.order.unfit.items():
        if name not in run.besides:
            run.besides[name] = fitting.Unfit(f"host {name}: {lacks}")
            yield {"event": "warning", "text": f"{run.besides[name]}; not run there"}
    full: dict[str, ways.Way] = {}  # each is asked again by the same pipe
    try:
        while run.living is None:
            name = capacity.take(
                site["runs_on"], run.runtime["jobs"], stopping, run.besides, run.order.machine
            )
            if name not in full:
                yield {"event": "phase", "name": "prepare", "text": f"on host {name}"}
            way = ways.Way(hosts[name])
            try:
                claim = yield from _claimed(run, way, stopping)
                capacity.answered(name)
                run.living = _living(run, claim, way)
            except occupancy.Full as error:
                if name not in full:
                    full[name] = ways.Way(hosts[name])
                if capacity.full(name):
                    yield {"event": "warning", "text": f"{error}; waited for, or run elsewhere"}
            except ThunderError as error:
                if error.cause not in _HOST_FAULTS:
                    raise
                yield from _passed_over(run, way, error)
            finally:
                if run.living is None:
                    capacity.give_back(name)
                    way.close()
    finally:
        for kept in full.values():
            kept.close()


def _passed_over(run: Away, way: ways.Way, error: ThunderError) -> Iterator[Event]:
    """Leave a host out that cannot be used, or has not got what a run needs."""
    name = way.host.name
    if isinstance(error, Lost):
        way.drop()
    # Of this run alone, or of every one: told once, not for each.
    is_news = isinstance(error, fitting.Unfit) or capacity.refuse(name, error)
    may_return = capacity.may_return(name)
    if not may_return:
        run.besides[name] = error
    if is_news:
        what = f"waited for, for {capacity.RETURN_SECONDS:g} s" if may_return else "not run there"
        yield {"event": "warning", "text": f"{error}; {what}"}
