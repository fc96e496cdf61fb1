"""What one host is and has, asked through its open way: plain data, with faults and warnings."""

import time
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.hosts import environment, programs, requirements, versions
from thunder.hosts.connection import Connection
from thunder.hosts.requirements import CORE
from thunder.hosts.workspace import cache_in
from thunder.jobs.kinds import KINDS

CLOCK_SECONDS = 2.0  # a difference that is told
_ROUNDS = 9
_SECONDS = 120.0  # of a backend that is loaded for the first time

Found = dict[str, Any]


def of(way: Connection) -> Found:
    """Return what a host is and has; what it cannot say is a fault."""
    try:
        found = {**_clock(way), **way.call("facts", folder=way.host.workspace)}
    except ThunderError as error:
        return {"faults": [str(error)]}
    ahead = found["clock_seconds"]
    where = "ahead of" if ahead > 0 else "behind"
    odd = [f"its clock is {abs(ahead):.1f} s {where} the one here"]
    warnings = odd if abs(ahead) > CLOCK_SECONDS else []
    try:
        _check_workspace(way, found)
        inner = _environment(way)
    except ThunderError as error:
        return {**found, "environment": None, "warnings": warnings, "faults": [str(error)]}
    faults, told = versions.differences(inner["versions"])
    if "fault" in inner["backend"]:
        faults.append(f"its backend cannot be used: {inner['backend']['fault']}")
    return {**found, **inner, "warnings": [*warnings, *told], "faults": faults}


def _check_workspace(way: Connection, found: Found) -> None:
    if not found["is_writable"]:
        raise environment.no_workspace(way, f"host {way.host.name}: nothing can be written there")


def speed(way: Connection) -> Found:
    """Return how fast a host computes, as the kinds of job measure it; what fails is a warning."""
    modules = {kind.speed for kind in KINDS.values() if kind.speed}
    found: Found = {}
    try:
        words, cache = environment.command(way), cache_in(environment.workspace(way))
        for module in sorted(modules):
            found |= programs.answer(way, [*words, "-m", module, cache], _SECONDS)
    except programs.Failed as error:
        found["fault"] = error.reason
    except ThunderError as error:
        found["fault"] = str(error)
    return {"speed": found, "gigaflops": found.get("gigaflops")}


def _clock(way: Connection) -> Found:
    """Return the round trip by the open way, and how far the clock there is ahead of ours."""
    trips = []
    for _ in range(_ROUNDS):
        begun, sent = time.perf_counter(), time.time()
        there = way.call("clock")
        took = time.perf_counter() - begun
        trips.append((took, there - sent - took / 2))
    trips.sort()  # the shortest trip says most about the clock
    return {"ssh_ms": trips[_ROUNDS // 2][0] * 1000, "clock_seconds": trips[0][1]}


def _environment(way: Connection) -> Found:
    """Return what thunder would run with there, its versions, and what it would compute with."""
    words, names = environment.command(way), requirements.direct()
    there = versions.of(way, words)
    modules = {
        kind.backend
        for kind in KINDS.values()
        if kind.backend and all(there.get(name) for name in kind.packages)
    }
    backend: Found = {}
    try:
        for module in sorted(modules):
            backend |= programs.answer(way, [*words, "-m", module], _SECONDS)
    except programs.Failed as error:
        backend["fault"] = error.reason
    extras = {extra for extra in names.values() if extra != CORE}
    python = words[-1]
    return {
        "environment": python,
        "is_prepared": python.startswith(f"{environment.workspace(way)}/env/"),
        "extras": sorted(e for e in extras if all(there[n] for n, x in names.items() if x == e)),
        "versions": there,
        "backend": backend,
    }
