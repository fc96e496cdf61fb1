"""A run is brought to a host, with all that it reads, and begun there."""

import json
import os
import platform
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from thunder.executors import away, supplies
from thunder.executors.place import Order
from thunder.ground import digest, files, run_files
from thunder.ground.errors import ThunderError
from thunder.hosts import delivery, environment, requirements
from thunder.hosts.connection import Connection
from thunder.jobs.kinds import KINDS
from thunder.runs import claim as claims
from thunder.runs import listing, manifest, mirror
from thunder.runs.claim import Claim

# How much later than the host we call its claim void: it must have ended the run by then.
GRACE_SECONDS = 20.0
_BEGIN_SECONDS = 90.0  # a cold import on a slow disk
_END_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_OF_HOME = ("uncommitted-",)  # files of a run that are about this machine alone
_LOCAL = ("127.0.0.1", "::1", "localhost")
_LACKS = "import sys, importlib.util as u; print(*[n for n in sys.argv[1:] if not u.find_spec(n)])"


# What runs of a kind are run with on a host that can run them: asked once of a way, not for each.
_commands: "WeakKeyDictionary[Connection, dict[str, list[str]]]" = WeakKeyDictionary()


class NotBegun(ThunderError):
    """What was to own a run ended before it began: nobody works on it there."""


class Unfit(ThunderError):
    """A host has not got what runs of this kind need; it may take others."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "environment")


def claimed(
    way: Connection, order: Order, stop: Callable[[], bool], say: Callable[[str], None]
) -> Claim:
    """Bring a run to a host for its last attempt, and claim it; nothing is started yet.

    Args:
        stop: asked now and then while files go there.
        say: is told now and then how far they are.

    Raises:
        ThunderError: the host cannot run it, or somebody else runs it there.
    """
    folder = order.folder
    record, document = _read(folder, run_files.RECORD), _read(folder, run_files.CONFIG)
    _command(way, record["kind"])  # or it cannot run it
    workspace = environment.workspace(way)
    far = f"{supplies.runs_of(workspace)}/{record['kind']}/{folder.name}"
    _end_ours(way, far, folder)
    runtime = record["attempts"][-1]["runtime"]
    paths = supplies.paths(way, document, runtime, workspace, stop, say)
    _bring_run(way, folder, record, far, workspace, stop)
    claim = _claim(way, folder, record, far)
    _write_far(way, record, claim, paths, workspace)
    claims.write(folder, claim)  # from here on no other host may have it
    return claim


def spawn(way: Connection, claim: Claim, function: str) -> None:
    """Start what owns a run on a host, and wait until it does; twice is as good as once.

    Raises:
        ThunderError: it ended before it began.
    """
    own = own_folder(claim)
    command = [
        *_command(way, Path(claim.folder).parent.name),
        "-m",
        "thunder.executors.away",
        claim.folder,
        claim.owner,
        function,
    ]
    pid = way.call("spawn", words=command, folder=own, log=away.LOG)
    latest = time.monotonic() + _BEGIN_SECONDS
    while not has_begun(way, claim):
        if way.call("state", pid=pid) in (None, "Z") and not has_begun(way, claim):
            log = (way.call("read", path=f"{own}/{away.LOG}") or "").strip()
            last = log.splitlines()[-1] if log else "it said nothing"
            cause: Any = "write" if "No space left" in last else "crash"
            raise NotBegun(f"host {way.host.name}: the run did not begin: {last}", cause)
        if time.monotonic() > latest:
            raise ThunderError(
                f"host {way.host.name}: the run did not begin within {_BEGIN_SECONDS:g} s",
                "environment",
            )
        time.sleep(_LOOK_SECONDS)


def has_begun(way: Connection, claim: Claim) -> bool:
    """Say whether the attempt of a claim was ever begun."""
    return bool(way.call("listing", folder=own_folder(claim), names=[away.EVENTS]))


def own_folder(claim: Claim) -> str:
    """Return the folder on a host that is about a claim."""
    return f"{claim.folder}/{away.FOLDER}/{claim.owner}"


def lock_of(far: str) -> str:
    """Return the lock of a run's folder on a host."""
    return f"{far}/{run_files.LOCK}"


def tell_to_end(way: Connection, claim: Claim) -> None:
    """Tell what owns a run on a host to end it, resumably."""
    way.call("write", path=f"{own_folder(claim)}/{away.STOP}", text="")


def end(way: Connection, claim: Claim) -> None:
    """Have the run of a claim end on a host; returns when nobody works on it there.

    Raises:
        ThunderError: it does not end.
    """
    _end(way, claim.folder, claim.owner)


def deadline(lease: float) -> float:
    """Return when a claim is void that is renewed for a twentieth of its lease from now on."""
    return earliest_deadline(lease) + lease / 20


def earliest_deadline(lease: float) -> float:
    """Return when a claim is void that is renewed now."""
    return time.time() + lease + GRACE_SECONDS


def _owner_here(folder: Path) -> str:
    """Return what the owners of all claims for runs of these outputs begin with."""
    return digest.of_value([platform.node(), os.path.realpath(folder.parent.parent)])[:8]


def _end_ours(way: Connection, far: str, folder: Path) -> None:
    """End what an earlier attempt of ours left running; that of somebody else is left alone."""
    if not way.call("is_locked", path=lock_of(far)):
        return
    holder = json.loads(way.call("read", path=f"{far}/{away.FOLDER}/{away.HOLDER}") or "{}")
    owner = str(holder.get("owner", ""))
    if not owner.startswith(_owner_here(folder)):
        raise ThunderError(
            f"host {way.host.name}: {far} is being run there for other outputs than these",
            "environment",
        )
    _end(way, far, owner)


def _end(way: Connection, far: str, owner: str) -> None:
    latest = time.monotonic() + _END_SECONDS
    while way.call("is_locked", path=lock_of(far)):
        way.call("write", path=f"{far}/{away.FOLDER}/{owner}/{away.STOP}", text="")
        if time.monotonic() > latest:
            raise ThunderError(f"host {way.host.name}: {far}: it does not end", "environment")
        time.sleep(_LOOK_SECONDS)


def _command(way: Connection, kind: str) -> list[str]:
    known = _commands.setdefault(way, {})
    if kind not in known:
        words = _searched(way, kind)
        _check_packages(way, words, kind)
        known[kind] = words
    return known[kind]


def _searched(way: Connection, kind: str) -> list[str]:
    """Return what runs of a kind are run with: an environment with its extra comes first."""
    extra = KINDS[kind].extra
    extras = [extra] if extra else []
    is_prepared = bool(extras) and environment.prepared(way, requirements.parts(extras))
    return environment.command(way, extras if is_prepared else ())


def _check_packages(way: Connection, words: list[str], kind: str) -> None:
    packages = KINDS[kind].packages
    asked = way.call("run", words=[*words, "-c", _LACKS, *packages], seconds=60, within=70)
    lacking = asked["out"].split() if asked["code"] == 0 else list(packages)
    if lacking:
        raise Unfit(f"host {way.host.name} lacks {', '.join(lacking)}, which kind {kind} needs")


def _bring_run(
    way: Connection, folder: Path, record: Mapping[str, Any], far: str, workspace: str,
    stop: Callable[[], bool],
) -> None:  # fmt: skip
    """Have the folder of a run there be as it is here, or further where it went on there last."""
    if _went_on_there(way, record, far):
        return
    names = [
        name
        for name in digest.visible_files(folder)
        if name not in (*listing.OURS, run_files.METRICS) and not name.startswith(_OF_HOME)
    ]
    if delivery.is_there(way, far):
        rows = way.call("listing", folder=far)
        there = [row["path"] for row in rows if not row["path"].startswith(".")]
        strange = {*there} - {*names, *listing.OURS, run_files.METRICS}
        if strange or delivery.differing(way, folder, names, far):
            delivery.move_aside(way, far, workspace)
    delivery.bring(way, folder, names, far, stop)
    mirror.note(folder, way.host.name, far, [manifest.artifact(folder, name) for name in names])


def _went_on_there(way: Connection, record: Mapping[str, Any], far: str) -> bool:
    """Say whether the attempt before the last one of a record was the last one there."""
    before = record["attempts"][-2:-1]
    there = json.loads(way.call("read", path=f"{far}/{run_files.RECORD}") or "{}")
    last = there.get("attempts", [])[-1:]
    return bool(before) and [one["started"] for one in before] == [one["started"] for one in last]


def _claim(way: Connection, folder: Path, record: Mapping[str, Any], far: str) -> Claim:
    lease = record["attempts"][-1]["runtime"]["lease_seconds"]
    return Claim(
        owner=f"{_owner_here(folder)}-{uuid.uuid4().hex[:8]}",
        host=asdict(way.host),
        boot=way.call("facts", folder=way.host.workspace)["boot"],
        folder=far,
        attempt=len(record["attempts"]),
        offset=0,
        deadline=deadline(lease),
    )


def _write_far(
    way: Connection, record: Mapping[str, Any], claim: Claim, paths: Mapping[str, str],
    workspace: str,
) -> None:  # fmt: skip
    """Write the record that the run there goes by: as here, with the paths of that machine."""
    *before, last = record["attempts"]
    runtime = last["runtime"]
    there = {
        **runtime,
        "outputs": supplies.runs_of(workspace),
        "paths": dict(paths),
        "site": site_there(runtime["site"], way.host.name),
    }
    record = {**record, "attempts": [*before, {**last, "runtime": there}]}
    text = files.render_json(record)
    way.call("write", path=f"{claim.folder}/{run_files.RECORD}", text=text)
    way.call("write", path=f"{own_folder(claim)}/{away.RENEWED}", text="")


def site_there(site: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the site as it is on a host, whose own name ranks of its own get.

    It is none of its own hosts: it would reach itself by ssh.
    """
    others = {other: one for other, one in site.get("hosts", {}).items() if other != name}
    there = {**site, "runs_on": "local", "hosts": others}
    if any(one["address"] not in _LOCAL for one in site["ranks_on"]):
        return there
    ranks = [{**one, "name": name} for one in site["ranks_on"]]
    return {**there, "ranks_on": ranks, "hosts": {}}


def _read(folder: Path, name: str) -> dict[str, Any]:
    return dict(files.read_json(folder / name))
