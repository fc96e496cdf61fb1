"""Whether a host has the memory and the disk that a run takes: asked before anything is sent.

What nobody can know before bars no host. Before anything runs a host counts with all its memory;
when a run comes to it, with what is free.
"""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from thunder.executors import site_there
from thunder.executors.occupancy import Full
from thunder.ground import wording
from thunder.ground.errors import Faults, ThunderError
from thunder.ground.kind import Room
from thunder.hosts import connection, host
from thunder.hosts.connection import Connection
from thunder.hosts.host import Host
from thunder.jobs import kinds
from thunder.jobs.job import Job

Facts = Mapping[str, Any]
_SHOWN = 20
_SILENT = "its kind does not say"
_UNKNOWN = Room(None, None, {"memory": _SILENT, "disk": _SILENT})
_BEGUN = "an earlier attempt made a part of it"


class Unfit(ThunderError):
    """A host has not got what a run needs; it may take others."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "environment")


def check(way: Connection, config: Mapping[str, Any], others: str, *, is_new: bool) -> None:
    """Refuse a host that has less free than a run takes.

    Args:
        others: the runs that it has, in words.
        is_new: whether no earlier attempt made a part of the run there.

    Raises:
        Full: what it lacks while it has the others.
        Unfit: what it lacks.
    """
    taken = _room(config, way.host.name, is_new=is_new)
    if not _says(taken):
        return
    facts = way.call("facts", folder=way.host.workspace)
    lacks = _lacks(taken, {**facts, "memory": facts["free_memory"]})
    if lacks and others and not _lacks(taken, facts):
        raise Full(f"host {way.host.name}: {lacks}, beside {others}")
    if lacks:
        raise Unfit(f"host {way.host.name}: {lacks}")


def unfit(jobs: Sequence[Job], begun: Collection[str]) -> dict[str, dict[str, str]]:
    """Return the hosts that each job, by its id, does not fit, and what they lack.

    A host that does not answer may fit: who begins a run there waits for it.

    Args:
        begun: ids of those that an earlier attempt made a part of.

    Raises:
        Faults: jobs that fit no host, with what each takes and what each host has.
    """
    jobs = [*{job.id: job for job in jobs}.values()]  # of several windows of one
    rooms = [
        {name: _room(job.config, name, is_new=job.id not in begun) for name in _runs_on(job)}
        for job in jobs
    ]
    hosts: dict[str, Host] = {}
    for job, taken in zip(jobs, rooms, strict=True):
        every = host.of_site(job.runtime["site"], job.runtime["reproduce"])
        hosts |= {name: every[name] for name, one in taken.items() if _says(one)}
    facts = _facts(hosts)
    found: dict[str, dict[str, str]] = {}
    faults = []
    for job, taken in zip(jobs, rooms, strict=True):
        lacks = {name: _lacks(one, facts[name]) for name, one in taken.items() if name in facts}
        found[job.id] = {name: lack for name, lack in lacks.items() if lack}
        if taken and taken.keys() == found[job.id].keys():
            listed = "; ".join(f"{name}: {lack}" for name, lack in lacks.items())
            faults.append(f"{job.kind} {job.id}: {listed}")
    if faults:
        title = "nothing was run; what fits no host of the site (runs_on):"
        raise Faults(title, wording.some_lines(faults, _SHOWN), "environment")
    return found


def _runs_on(job: Job) -> Sequence[str]:
    runs_on = job.runtime["site"]["runs_on"]
    return () if isinstance(runs_on, str) else runs_on


def _room(config: Mapping[str, Any], name: str, *, is_new: bool) -> Room:
    """Return what a run takes of a host; of the disk, what was made before is not known."""
    function = kinds.KINDS[config["kind"]].room
    if function is None:
        return _UNKNOWN
    runtime = config["runtime"]
    there = {**runtime, "site": site_there.of(runtime["site"], name)}
    room: Room = kinds.loaded(function)({**config, "runtime": there})
    return room if is_new else replace(room, disk=None, unknown={**room.unknown, "disk": _BEGUN})


def _says(taken: Room) -> bool:
    return taken.memory is not None or taken.disk is not None


def _facts(hosts: Mapping[str, Host]) -> dict[str, Facts]:
    """Return what machines those hosts are that answer."""
    with ThreadPoolExecutor(max(1, len(hosts))) as pool:
        answers = zip(hosts, pool.map(_asked, hosts.values()), strict=True)
        return {name: facts for name, facts in answers if facts is not None}


def _asked(one: Host) -> Facts | None:
    try:
        with connection.opened(one) as way:
            return dict(way.call("facts", folder=one.workspace))
    except ThunderError:
        return None


def _lacks(taken: Room, facts: Facts) -> str:
    """Return what a machine has less of than a run takes; nothing: it fits."""
    wanted = (("memory", taken.memory, facts["memory"]), ("disk", taken.disk, facts["free_disk"]))
    return ", ".join(
        f"about {needed / 1e9:.2f} GB of {what} needed, {has / 1e9:.2f} GB there"
        for what, needed, has in wanted
        if needed is not None and has is not None and has < needed
    )
