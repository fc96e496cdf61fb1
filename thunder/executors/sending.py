"""A run is brought to a host, with all that it reads, and claimed for it."""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from thunder.executors import away, fitting, occupancy, owner, site_there, supplies
from thunder.executors.place import Order
from thunder.ground import digest, files, moving, run_files
from thunder.ground.errors import ThunderError
from thunder.hosts import delivery, environment, hashing, programs, versions
from thunder.hosts.connection import Connection, Lost
from thunder.hosts.workspace import outputs_in
from thunder.jobs.kinds import KINDS
from thunder.runs import claim as claims
from thunder.runs import listing, manifest, mirror
from thunder.runs.claim import Claim

_OF_HOME = ("uncommitted-",)  # files of a run that are about this machine alone
_LACKS = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if not importlib.util.find_spec(name)]))
"""
_ASK_SECONDS = 60.0
# The kinds that hosts have the packages for: asked once of a way, not for each run.
_able: "WeakKeyDictionary[Connection, set[str]]" = WeakKeyDictionary()


def claimed(
    way: Connection, order: Order, stop: Callable[[], bool], say: Callable[[str], None]
) -> Claim:
    """Bring a run to a host for its last attempt, and claim it; nothing is started yet.

    Args:
        stop: asked now and then while files go there.
        say: is told now and then how far they are.

    Raises:
        Full: the host has as many runs as it may have.
        ThunderError: the host cannot run it, or somebody else runs it there.
    """
    folder = order.folder
    record, document = _read(folder, run_files.RECORD), _read(folder, run_files.CONFIG)
    workspace = environment.workspace(way)
    far = f"{outputs_in(workspace)}/{record['kind']}/{folder.name}"
    # Who cleans the host sees by this that a run is on its way; then by its claim, then its lock.
    with delivery.held(way, owner.sending_lock_of(far), f"others bring {far}", stop):
        owner.end_ours(way, far, folder)
        runtime, ours = record["attempts"][-1]["runtime"], owner.prefix(folder)
        others = occupancy.take(way, far, ours, runtime["jobs"])
        try:
            is_new = not delivery.is_there(way, far)
            _check(way, record["kind"], {**document, "runtime": runtime}, others, is_new=is_new)
            paths = supplies.paths(way, document, runtime, workspace, stop, say)
            _bring_run(way, folder, record, far, workspace, stop, say)
            claim = _claim(way, folder, record, far)
            if read := _inputs(document, paths):
                mirror.note_inputs(folder, way.host.name, read)
            _write_far(way, record, claim, paths, workspace)
            claims.write(folder, claim)  # from here on no other host may have it
        except Exception as error:  # whatever it is, the way and its slots may stay open
            if not isinstance(error, Lost):  # else the slot goes with the way
                occupancy.leave(way, far, ours)
            raise
    return claim


def _check(
    way: Connection, kind: str, config: Mapping[str, Any], others: str, *, is_new: bool
) -> None:
    able = _able.setdefault(way, set())
    if kind not in able:
        words = owner.command_anew(way, kind)
        _check_packages(way, words, kind)
        _check_versions(way, words, kind)
        able.add(kind)
    fitting.check(way, config, others, is_new=is_new)


def _check_packages(way: Connection, words: list[str], kind: str) -> None:
    packages = KINDS[kind].packages
    if lacking := programs.answer(way, [*words, "-c", _LACKS, *packages], _ASK_SECONDS):
        what = f"lacks {', '.join(lacking)}, which kind {kind} needs"
        raise fitting.Unfit(f"host {way.host.name} {what}")


def _check_versions(way: Connection, words: list[str], kind: str) -> None:
    """Refuse a host whose packages would make another result, as its ranks are refused."""
    faults, _ = versions.differences(versions.of(way, words))
    if faults:
        extra = KINDS[kind].extra
        again = environment.prepare_command(way.host, [extra] if extra else [])
        raise ThunderError(
            f"host {way.host.name}: {'; '.join(faults)}: make them alike, {again}", "environment"
        )


def _bring_run(
    way: Connection, folder: Path, record: Mapping[str, Any], far: str, workspace: str,
    stop: Callable[[], bool], say: Callable[[str], None],
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
        if strange or hashing.differing(way, folder, names, far):
            delivery.move_aside(way, far, workspace)
    show = moving.lines(f"host {way.host.name}: run {folder.parent.name}/{folder.name}", say)
    delivery.bring(way, folder, names, far, stop, show)
    mirror.note(folder, way.host.name, far, [manifest.artifact(folder, name) for name in names])


def _inputs(document: Mapping[str, Any], paths: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what a run reads on a host, but for what is built there or is a run of its own."""
    sources = {name: document[name]["source"] for name in paths if name in document}
    return [
        {
            "input": name,
            "path": paths[name],
            "sha256": source.get("digest"),
            "commit": source.get("commit"),
        }
        for name, source in sources.items()
    ]


def _went_on_there(way: Connection, record: Mapping[str, Any], far: str) -> bool:
    """Say whether the attempt before the last one of a record was the last one there."""
    before = record["attempts"][-2:-1]
    there = json.loads(way.call("read", path=f"{far}/{run_files.RECORD}") or "{}")
    last = there.get("attempts", [])[-1:]
    return bool(before) and [one["started"] for one in before] == [one["started"] for one in last]


def _claim(way: Connection, folder: Path, record: Mapping[str, Any], far: str) -> Claim:
    unattended = record["attempts"][-1]["runtime"]["unattended_seconds"]
    return Claim(
        owner=f"{owner.prefix(folder)}-{uuid.uuid4().hex[:8]}",
        host=asdict(way.host),
        boot=way.call("facts", folder=way.host.workspace)["boot"],
        folder=far,
        attempt=len(record["attempts"]),
        offset=0,
        deadline=claims.deadline(unattended),
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
        "outputs": outputs_in(workspace),
        "paths": dict(paths),
        "site": site_there.of(runtime["site"], way.host.name),
    }
    record = {**record, "attempts": [*before, {**last, "runtime": there}]}
    text = files.render_json(record)
    way.call("write", path=f"{claim.folder}/{run_files.RECORD}", text=text)
    unattended = f"{runtime['unattended_seconds']:g}"
    way.call("write", path=f"{owner.own_folder(claim)}/{away.RENEWED}", text=unattended)


def _read(folder: Path, name: str) -> dict[str, Any]:
    return dict(files.read_json(folder / name))
