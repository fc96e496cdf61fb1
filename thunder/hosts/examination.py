"""What one host is and has, asked through its open way: plain data, with faults and warnings."""

import json
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.hosts import environment, requirements
from thunder.hosts.connection import Connection
from thunder.hosts.requirements import CORE
from thunder.jobs.kinds import KINDS

CLOCK_SECONDS = 2.0  # a difference that is told
# A difference of these can change what is computed; one of the others is told, and no more.
COMPUTING = ("mlx", "mlx-lm", "numpy", "tokenizers", "transformers", "torch")
_ROUNDS = 9
_SECONDS = 120.0  # of a backend that is loaded for the first time
_GRACE_SECONDS = 5.0
_VERSIONS = """
import importlib.metadata, json, sys
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
print(json.dumps({"python": sys.version.split()[0], **{n: version(n) for n in sys.argv[1:]}}))
"""

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
    faults, told = _differences(inner["versions"])
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
        words, cache = environment.command(way), f"{environment.workspace(way)}/cache"
        for module in sorted(modules):
            found |= _asked(way, words, ["-m", module, cache])
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
    versions = _asked(way, words, ["-c", _VERSIONS, *names])
    modules = {
        kind.backend
        for kind in KINDS.values()
        if kind.backend and all(versions.get(name) for name in kind.packages)
    }
    backend: Found = {}
    for module in sorted(modules):
        backend |= _asked(way, words, ["-m", module])
    extras = {extra for extra in names.values() if extra != CORE}
    python = words[-1]
    return {
        "environment": python,
        "is_prepared": python.startswith(f"{environment.workspace(way)}/env/"),
        "extras": sorted(e for e in extras if all(versions[n] for n, x in names.items() if x == e)),
        "versions": versions,
        "backend": backend,
    }


def _asked(way: Connection, words: Sequence[str], more: Sequence[str]) -> Found:
    """Return the JSON that a program there prints, or its last words as `fault`."""
    done = way.call(
        "run", words=[*words, *more], seconds=_SECONDS,
        within=_SECONDS + _GRACE_SECONDS,
    )  # fmt: skip
    last = (done["err"].strip().splitlines() or ["it said nothing"])[-1]
    try:
        return dict(json.loads(done["out"])) if not done["code"] else {"fault": last}
    except ValueError:
        return {"fault": f"the answer is not JSON: {last}"}


def _differences(versions: Mapping[str, str | None]) -> tuple[list[str], list[str]]:
    """Return which packages are of other versions than here: what counts, and the rest."""
    faults: list[str] = []
    told: list[str] = []
    ours, theirs = platform.python_version(), versions["python"] or ""
    if ours.split(".")[:2] != theirs.split(".")[:2]:
        told.append(f"Python is {theirs} there, {ours} here")
    for name, extra in requirements.direct().items():
        here, there = requirements.version(name), versions.get(name)
        if there is None and extra != CORE:
            continue
        if here != (there and requirements.public(there)):
            where = faults if name in COMPUTING or there is None else told
            where.append(f"{name} is {there or 'missing'} there, {here or 'missing'} here")
    return faults, told
