"""A run that lives on a host, watched: its events, with the files that they speak of, to its end.

The record here follows the events there; what is kept of them is how many bytes are in it.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thunder.executors import away, home, occupancy, owner
from thunder.executors.place import Gone, Order, Stop
from thunder.executors.ways import Way
from thunder.ground.errors import Faults, ThunderError
from thunder.hosts.connection import Connection, Lost
from thunder.runs import claim as claims
from thunder.runs import listing
from thunder.runs.claim import Claim

Event = dict[str, Any]
_POLL_SECONDS = 2.0  # as long as a Ctrl-C may wait to be heard
_ANSWER_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 30.0
_NOTED_SECONDS = 5.0  # between two notes of how far the record is
_RECORDED = (*away.TELLS_OF_FILES, "host", "backend")


@dataclass
class Living:
    """A run on a host, as who watches it sees it.

    Args:
        order: with the folder of the run here.
        unattended: seconds after which it ends by itself there when nobody asks.
        most: how many runs the host may have at once.
        ended: how it ended there, as its last word there has it.
        pause: between two tries to reach the host; 0 while it is within reach.
        known: digests of the files here.
    """

    order: Order
    unattended: float
    most: int
    claim: Claim
    way: Way
    ended: dict[str, Any] | None = None
    is_left: bool = False
    is_gone: bool = False
    is_waiting: bool = False
    pause: float = 0.0
    noted_at: float = 0.0
    known: listing.Digests = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder of the run here."""
        return self.order.folder

    @property
    def host(self) -> str:
        """The name of the host."""
        return self.way.host.name


def watch(run: Living, stopping: Stop) -> Iterator[Event]:
    """Yield the events of a run until it has ended, or is left to go on.

    Raises:
        Gone: the host runs it no more, and it did not end.
    """
    while run.ended is None and not run.is_left:
        try:
            yield from _next(run, stopping)
        except Lost as error:
            yield from _out_of_reach(run, stopping, error)


def _next(run: Living, stopping: Stop) -> Iterator[Event]:
    """Yield the events that there are next; see to the end of the run."""
    if stopping.is_set() and not stopping.reaches_hosts:
        run.is_left = True
        return
    way = run.way.connection()
    if run.pause:
        run.pause = 0.0
        yield {"event": "note", "text": f"{run.host} is within reach again"}
    if stopping.is_set():
        owner.tell_to_end(way, run.claim)
    answer = _asked(run, way)
    for line in answer["text"].splitlines(keepends=True):
        event = json.loads(line)
        yield from _passed_on(run, way, event, stopping)
        if run.is_left:
            return
        _note(run, len(line.encode()), event["event"])
    if not answer["text"] and not answer["held"]:
        try:
            _end(run, way, stopping)
        except occupancy.Full as error:
            yield from _no_slot(run, way, stopping, error)


def _asked(run: Living, way: Connection) -> dict[str, Any]:
    """Ask for the next events, which renews the claim."""
    own = owner.own_folder(run.claim)
    # Before the host counts from now.
    if run.claim.deadline < claims.earliest_deadline(run.unattended):
        run.claim = replace(run.claim, deadline=claims.deadline(run.unattended))
        claims.write(run.folder, run.claim)
    seconds = min(_POLL_SECONDS, run.unattended / 4)
    answer = way.call(
        "follow", path=f"{own}/{away.EVENTS}", offset=run.claim.offset, seconds=seconds,
        lock=owner.lock_of(run.claim.folder), renewed=f"{own}/{away.RENEWED}",
        within=seconds + _ANSWER_SECONDS,
    )  # fmt: skip
    return dict(answer)


def _passed_on(run: Living, way: Connection, event: Event, stopping: Stop) -> Iterator[Event]:
    """Yield an event when the files are here that it speaks of, by the paths they have here."""
    if event["event"] in away.TELLS_OF_FILES:
        try:
            _bring(run, way, stopping)
        except Faults as fault:
            yield {"event": "warning", "text": f"not home yet: {fault}"}
            if event["event"] != "valid":
                return  # the record must not speak of it
    if run.is_left:
        return
    path = event.get("path", "")
    if path.startswith(run.claim.folder):
        event["path"] = f"{run.folder}{path.removeprefix(run.claim.folder)}"
    yield event


def _note(run: Living, size: int, name: str) -> None:
    """Keep how much of the events is in the record; what only the screen shows may come again."""
    run.claim = replace(run.claim, offset=run.claim.offset + size)
    now = time.monotonic()
    if name in _RECORDED or now - run.noted_at > _NOTED_SECONDS:
        claims.write(run.folder, run.claim)
        run.noted_at = now


def _bring(run: Living, way: Connection, stopping: Stop) -> None:
    own = owner.own_folder(run.claim)
    try:
        home.bring(
            way, run.claim.folder, own, run.folder, run.known,
            lambda: stopping.is_set() and not stopping.reaches_hosts,
        )  # fmt: skip
    except ThunderError as error:
        if error.cause != "stopped":
            raise
        run.is_left = True


def _end(run: Living, way: Connection, stopping: Stop) -> None:
    """Take in how a run ended; begin it where it has not begun yet.

    Raises:
        Gone: it did not end, or because nobody asked for it.
    """
    path = f"{owner.own_folder(run.claim)}/{away.ENDING}"
    ended = json.loads(way.call("read", path=path) or "null")
    if ended is None and not owner.has_begun(way, run.claim):
        if stopping.only_ends:
            owner.end(way, run.claim)
            raise _gone(run, "the run had not begun there")
        return owner.spawn(way, run.claim, run.order.function, run.most)
    if ended is None:
        is_same = way.call("facts", folder=run.claim.folder)["boot"] == run.claim.boot
        how = "its process there is gone" if is_same else "the machine was started anew"
        raise _gone(run, f"{how}, and the run had not ended")
    try:
        _bring(run, way, stopping)
    except Faults:
        if ended["error"] is None:
            raise
    if run.is_left:
        return None
    if ended["expired"] and ended["error"]:
        raise _gone(run, f"nobody asked for the run for {run.unattended:g} s, so it ended itself")
    run.ended = ended
    return None


def _no_slot(
    run: Living, way: Connection, stopping: Stop, error: occupancy.Full
) -> Iterator[Event]:
    """Wait for a slot of a host that has a run already, and was not told to begin it before.

    Raises:
        Gone: it is to be stopped.
    """
    if not run.is_waiting:
        yield {"event": "warning", "text": f"{error}; waited for"}
    run.is_waiting = True
    if stopping.wait(_POLL_SECONDS) and stopping.reaches_hosts:
        owner.end(way, run.claim)
        raise _gone(run, "the run had not begun there")


def _gone(run: Living, why: str) -> Gone:
    """Return that a host gave a run back; its claim is dropped."""
    claims.drop(run.folder)
    run.is_gone = True
    return Gone(f"host {run.host}: {why}")


def _out_of_reach(run: Living, stopping: Stop, error: Lost) -> Iterator[Event]:
    """Wait a while for the way to a host.

    Raises:
        Gone: it was lost for so long that the run has ended there by itself.
    """
    run.way.drop()
    if run.claim.is_void:
        raise _gone(run, f"out of reach for longer than the run goes on unattended: {error}")
    if not run.pause:
        until = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.claim.deadline))
        text = f"{run.host} is out of reach; the run goes on there, and no other host gets it "
        text += f"before {until}: {error}"
        yield {"event": "warning", "text": text}
    run.pause = min(max(1.0, 2 * run.pause), _LONGEST_PAUSE_SECONDS)
    left = max(0.1, run.claim.deadline - time.time())
    run.is_left = stopping.wait(min(run.pause, left))
