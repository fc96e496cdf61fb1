"""What owns a run on a host: begun there, told to end, ended."""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from thunder.executors import away, occupancy
from thunder.ground import digest, run_files
from thunder.ground.errors import ThunderError
from thunder.hosts import environment, requirements
from thunder.hosts.connection import Connection
from thunder.hosts.far.discarding import SENDING
from thunder.jobs.kinds import KINDS
from thunder.runs.claim import Claim

_BEGIN_SECONDS = 90.0  # a cold import on a slow disk
_END_SECONDS = 30.0
_LOOK_SECONDS = 0.1
# What runs of a kind are run with: asked once of a way, not for each run.
_commands: "WeakKeyDictionary[Connection, dict[str, list[str]]]" = WeakKeyDictionary()


class NotBegun(ThunderError):
    """What was to own a run ended before it began: nobody works on it there."""


def spawn(way: Connection, claim: Claim, function: str, most: int) -> None:
    """Start what owns a run on a host, and wait until it does; twice is as good as once.

    Args:
        most: how many runs the host may have.

    Raises:
        Full: the host has as many by now.
        ThunderError: it ended before it began.
    """
    own = own_folder(claim)
    occupancy.take(way, claim.folder, claim.owner, most)
    words = [
        *command(way, Path(claim.folder).parent.name),
        "-m",
        "thunder.executors.away",
        claim.folder,
        claim.owner,
        function,
    ]
    slot = occupancy.slot(claim.folder, claim.owner)
    pid = way.call("spawn", words=words, folder=own, log=away.LOG, slot=slot)
    latest = time.monotonic() + _BEGIN_SECONDS
    while not has_begun(way, claim):
        if way.call("state", pid=pid) in (None, "Z") and not has_begun(way, claim):
            log = (way.call("read", path=f"{own}/{away.LOG}") or "").strip()
            last = log.splitlines()[-1] if log else "it said nothing"
            cause: Any = "write" if "No space left" in last else "crash"
            give_up(way, claim)
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


def sending_lock_of(far: str) -> str:
    """Return the lock there of who brings a run to a host."""
    kind, _, name = far.rpartition("/")
    return f"{kind}/{SENDING}{name}"


def signs_of_life(runs: str) -> dict[str, Any]:
    """Return what a host goes by to say which runs there live, or are about to.

    Args:
        runs: the folder of all runs there.
    """
    sent = f"{away.FOLDER}/*/{away.RENEWED}"
    return {"runs": runs, "lock": run_files.LOCK, "sent": sent, "begun": away.EVENTS}


def tell_to_end(way: Connection, claim: Claim) -> None:
    """Tell what owns a run on a host to end it, resumably."""
    way.call("write", path=f"{own_folder(claim)}/{away.STOP}", text="")


def end(way: Connection, claim: Claim) -> None:
    """Have the run of a claim end on a host; returns when nobody works on it there.

    Raises:
        ThunderError: it does not end.
    """
    _end(way, claim.folder, claim.owner)
    give_up(way, claim)  # who has the lock from now on looks for that, and begins nothing
    _end(way, claim.folder, claim.owner)  # unless it had looked before
    occupancy.leave(way, claim.folder, claim.owner)


def give_up(way: Connection, claim: Claim) -> None:
    """Say there that nobody means to begin the run of a claim any more: it keeps nothing there."""
    way.call("remove", path=f"{own_folder(claim)}/{away.RENEWED}", below=claim.folder)


def prefix(folder: Path) -> str:
    """Return what the owners of all claims for runs of these outputs begin with."""
    return digest.of_value([platform.node(), os.path.realpath(folder.parent.parent)])[:8]


def end_ours(way: Connection, far: str, folder: Path) -> None:
    """End what an earlier attempt of ours left running; that of somebody else is left alone."""
    if not way.call("is_locked", path=lock_of(far)):
        return
    holder = json.loads(way.call("read", path=f"{far}/{away.FOLDER}/{away.HOLDER}") or "{}")
    owner = str(holder.get("owner", ""))
    if not owner.startswith(prefix(folder)):
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


def command_anew(way: Connection, kind: str) -> list[str]:
    """Return the same as `command`, of a host that may have been prepared since it was asked."""
    _commands.get(way, {}).pop(kind, None)
    return command(way, kind)


def command(way: Connection, kind: str) -> list[str]:
    """Return what runs of a kind are run with: an environment with its extra comes first."""
    known = _commands.setdefault(way, {})
    if kind not in known:
        extra = KINDS[kind].extra
        extras = [extra] if extra else []
        is_prepared = bool(extras) and environment.prepared(way, requirements.parts(extras))
        known[kind] = environment.command(way, extras if is_prepared else ())
    return known[kind]
