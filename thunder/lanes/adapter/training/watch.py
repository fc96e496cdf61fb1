"""Watches running ranks: hears their events, knows their deadlines, names the cause of a fault."""

import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty
from typing import Any, NoReturn

from thunder.ground.errors import Stopped, ThunderError
from thunder.lanes.adapter.training.process import Inbox, Process
from thunder.lanes.adapter.training.rank import LEASE_GONE, NO_RING, PEER_LOST
from thunder.training import events
from thunder.training.events import Emit

# How long the others may take to fall after the first, before its cause is named.
SETTLE_SECONDS = 0.5
BEAT_SECONDS = 1.0
FORWARDED = {"step", "valid", "saved", "note", "warning"}
STOP = -1


class NoRing(Exception):
    """The ring could not be formed on these ports."""


@dataclass
class Watch:
    """The state of a watch over ranks, from the first sign of life to the last."""

    processes: list[Process]
    inbox: Inbox
    emit: Emit
    stop: threading.Event
    greeted: set[int] = field(default_factory=set)
    joining: set[int] = field(default_factory=set)
    told: dict[int, dict[str, Any]] = field(default_factory=dict)
    done: dict[int, dict[str, Any]] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    within: dict[int, float] = field(default_factory=dict)
    heard: dict[int, float] = field(default_factory=dict)
    beaten: float = 0.0

    def results(self, start_seconds: float) -> list[dict[str, Any]]:
        """Return what each rank reported, or raise the cause of the first failure."""
        for rank in self.processes:
            self.heard[rank.number], self.within[rank.number] = time.monotonic(), start_seconds
        while len(self.ended) < len(self.processes):
            self._take(min(BEAT_SECONDS, self._left()))
            self._beat()
            failed = [n for n in self.ended if self.processes[n].code != 0 or n not in self.done]
            if failed:
                self._settle()
                self._raise_cause()
            # What waits in the inbox was said in time: it was the supervisor that was held up.
            if self._left() <= 0 and self.inbox.empty():
                self._raise_silence()
        return [self.done[rank.number] for rank in self.processes]

    def _left(self) -> float:
        now = time.monotonic()
        running = [n for n in self.heard if n not in self.ended]
        return min((self.heard[n] + self.within[n] - now for n in running), default=BEAT_SECONDS)

    def _beat(self) -> None:
        if time.monotonic() - self.beaten > BEAT_SECONDS:
            self.beaten = time.monotonic()
            self.emit(events.beat())

    def _take(self, seconds: float) -> None:
        """Take in one event, waiting for it no longer than told."""
        with suppress(Empty):
            number, event = self.inbox.get(timeout=max(0.0, seconds))
            if number == STOP:
                self.stop.set()
            elif event is None:
                self.ended.append(number)
            else:
                self._hear(number, event)
        if self.stop.is_set():
            raise Stopped("stopped; run again to go on from the last checkpoint")

    def _hear(self, number: int, event: dict[str, Any]) -> None:
        name = event["event"]
        self.heard[number], self.within[number] = time.monotonic(), event.pop("within")
        if name in FORWARDED:
            self.emit(event)
        elif name == "done":
            self.done[number] = event["result"]
        elif name in ("error", "no_ring"):
            self.told[number] = event
        elif name == "joining":
            self.joining.add(number)
        elif name == "joined":
            self.joining.discard(number)
        elif name == "hello":
            self._greet(number)

    def _greet(self, number: int) -> None:
        self.greeted.add(number)
        # A ring waits for a missing rank without limit, so none forms it before all are there.
        if len(self.greeted) == len(self.processes):
            for rank in self.processes:
                rank.order("go")

    def _settle(self) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while len(self.ended) < len(self.processes) and (left := deadline - time.monotonic()) > 0:
            self._take(left)

    def _raise_cause(self) -> NoReturn:
        """Name the rank that fell of itself, not those that fell with it."""
        codes = {n: self.processes[n].code for n in self.ended}
        failed = [n for n, code in codes.items() if code != 0 or n not in self.done]
        first = min(failed, key=lambda n: _blame(codes[n], n in self.told))
        if codes[first] == NO_RING:
            raise NoRing(self.told[first]["text"])
        if codes[first] == PEER_LOST:
            self._raise_stopped()
        if first in self.told:
            raise ThunderError(self.told[first]["message"], self.told[first]["cause"])
        self._raise_death(self.processes[first], codes[first])

    def _raise_death(self, rank: Process, code: int | None) -> NoReturn:
        words = rank.last_words()
        said = f"; its last words:\n{words}" if words else ""
        raise ThunderError(f"rank {rank.number} (pid {rank.pid}) {_end(code)}{said}", "ranks")

    def _raise_silence(self) -> NoReturn:
        self._raise_stopped()
        if self.joining:
            raise NoRing(f"ranks {sorted(self.joining)} waited in vain for the ring")
        silent = [n for n in self.heard if n not in self.ended]
        seconds = max(time.monotonic() - self.heard[n] for n in silent)
        raise ThunderError(
            f"no sign of life from ranks {silent} for {seconds:.0f} s: a link is down or a process "
            "hangs; look at run.log, then run again to go on from the last checkpoint",
            "ranks",
        )

    def _raise_stopped(self) -> None:
        stopped = [rank for rank in self.processes if rank.code is None and rank.is_stopped()]
        if stopped:
            named = ", ".join(f"rank {rank.number} (pid {rank.pid})" for rank in stopped)
            raise ThunderError(f"{named} is stopped (suspended from outside)", "ranks")


def _blame(code: int | None, told: bool) -> int:
    """Return an exit's place among causes: a named fault, a death, then what follows from them."""
    if code in (NO_RING, LEASE_GONE, PEER_LOST):
        return {NO_RING: 2, LEASE_GONE: 3, PEER_LOST: 4}[code]
    return 0 if told else 1


def _end(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    if code == PEER_LOST:
        return "lost its peer"
    return f"ended with exit code {code}"
