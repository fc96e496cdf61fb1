"""Watches running ranks: hears their events, knows their deadlines, names the cause of a fault."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty
from typing import Any, NoReturn

from thunder.ground.errors import Stopped, ThunderError
from thunder.hosts.last_words import exit_text
from thunder.hosts.lifeline import LIFELINE_GONE
from thunder.training import events
from thunder.training.events import Emit
from thunder.training.rank import PEER_LOST, NotMet
from thunder.training.rank_process import Inbox, Process

# How long the others may take to fall after the first, before its cause is named.
SETTLE_SECONDS = 0.5
BEAT_SECONDS = 1.0
# Between a rank and its supervisor; all others are the runner's.
INNER = {"hello", "joining", "joined", "not_met", "stepped", "beat", "error", "done"}
STOP = -1


@dataclass(frozen=True)
class Phrases:
    """How a lane puts what befell its ranks.

    Args:
        again: how to go on after a stop.
        death: what is added where a rank died.
        silence: of ranks that give no sign of life: {silent} are their numbers, {seconds}.
        suspended: where some are stopped: {number} of the first, {named} are all with their pids.
    """

    again: str
    death: str
    silence: str
    suspended: str


@dataclass
class Watch:
    """The state of a watch over ranks, from the first sign of life to the last."""

    processes: list[Process]
    inbox: Inbox
    emit: Emit
    phrases: Phrases
    stop: threading.Event
    greeted: dict[int, str] = field(default_factory=dict)
    joining: set[int] = field(default_factory=set)
    failures: dict[int, dict[str, Any]] = field(default_factory=dict)
    done: dict[int, Any] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    within: dict[int, float] = field(default_factory=dict)
    heard_at: dict[int, float] = field(default_factory=dict)
    beat_at: float = 0.0

    def results(self, start_seconds: float) -> list[Any]:
        """Return what each rank reported, or raise the cause of the first failure."""
        for rank in self.processes:
            self.heard_at[rank.number], self.within[rank.number] = time.monotonic(), start_seconds
        while len(self.ended) < len(self.processes):
            self._take(min(BEAT_SECONDS, self._left()))
            self._beat()
            if self._fallen():
                self._settle()
                self._raise_cause()
            # What waits in the inbox was said in time: it was the supervisor that was held up.
            if self._left() <= 0 and self.inbox.empty():
                self._raise_silence()
        return [self.done[rank.number] for rank in self.processes]

    def _fallen(self) -> list[int]:
        return [n for n in self.ended if self.processes[n].code != 0 or n not in self.done]

    def _left(self) -> float:
        left = [self._left_of(n) for n in self.heard_at if n not in self.ended]
        return min(left, default=BEAT_SECONDS)

    def _left_of(self, number: int) -> float:
        return self.heard_at[number] + self.within[number] - time.monotonic()

    def _beat(self) -> None:
        if time.monotonic() - self.beat_at > BEAT_SECONDS:
            self.beat_at = time.monotonic()
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
            raise Stopped(f"stopped; {self.phrases.again}")

    def _hear(self, number: int, event: dict[str, Any]) -> None:
        name = event["event"]
        self.heard_at[number], self.within[number] = time.monotonic(), event.pop("within")
        if name not in INNER:
            self.emit(event)
        elif name == "done":
            self.done[number] = event["result"]
        elif name in ("error", "not_met"):
            self.failures[number] = event
        elif name == "joining":
            self.joining.add(number)
        elif name == "joined":
            self.joining.discard(number)
        elif name == "hello":
            self.processes[number].pid = event["pid"]
            self._greet(number, event["at"])

    def _greet(self, number: int, place: str) -> None:
        self.greeted[number] = place
        # A ring waits for a missing rank without limit, so none forms it before all are there.
        if len(self.greeted) == len(self.processes):
            for rank in self.processes:
                rank.order(f"go {self.greeted[0]}")

    def _settle(self) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while len(self.ended) < len(self.processes) and (left := deadline - time.monotonic()) > 0:
            self._take(left)

    def _raise_cause(self) -> NoReturn:
        """Name the rank that fell of itself, not those that fell with it."""
        # In the order in which they were heard.
        failed = dict.fromkeys([*self.failures, *self._fallen()])
        first = min(failed, key=self._blame)
        rank, failure = self.processes[first], self.failures.get(first)
        if failure and failure["event"] == "not_met":
            raise NotMet(failure["text"])
        if rank.code == PEER_LOST:
            self._raise_suspended()
        if failure:
            place = f"host {rank.host}: " if rank.host else ""
            raise ThunderError(f"{place}{failure['message']}", failure["cause"])
        # A rank may lose its peer before anybody notices that there is no way to that host.
        self._raise_lost(self.processes if rank.code == PEER_LOST else [rank])
        how = "lost its peer" if rank.code == PEER_LOST else exit_text(rank.code or 0)
        words = rank.last_words()
        ending = f"; its last words:\n{words}" if words else ""
        message = f"{_named(rank)} {how}{self.phrases.death}{ending}"
        raise ThunderError(message, "ranks")

    def _blame(self, number: int) -> int:
        """Return a fall's place among causes: a named fault, a death, then what follows of them."""
        failure = self.failures.get(number)
        if failure:
            # What a rank reports as a crash may be the loss of a peer.
            follows = {"not_met": 3, "error": 2 if failure.get("cause") == "crash" else 0}
            return follows[failure["event"]]
        return {LIFELINE_GONE: 4, PEER_LOST: 5}.get(self.processes[number].code or 0, 1)

    def _raise_silence(self) -> NoReturn:
        self._raise_suspended()
        self._raise_lost(self.processes)
        if self.joining:
            raise NotMet(f"ranks {sorted(self.joining)} waited in vain for the ring")
        raise ThunderError(self.phrases.silence.format(**self._silence()), "ranks")

    def _raise_suspended(self) -> None:
        """Name the ranks that are suspended, if any: the others only wait for their share."""
        stopped = [rank for rank in self.processes if rank.is_stopped()]
        if stopped:
            named = ", ".join(map(_named, stopped))
            message = self.phrases.suspended.format(
                number=stopped[0].number, named=named, **self._silence()
            )
            raise ThunderError(message, "ranks")

    def _raise_lost(self, ranks: Sequence[Process]) -> None:
        """Name the first host that there is no way to any more, if any."""
        for rank in ranks:
            if reason := rank.lost():
                told = f"rank {rank.number} is out of reach: {reason.rstrip('.')}"
                raise ThunderError(f"{told}; {self.phrases.again}", "ranks")

    def _silence(self) -> dict[str, Any]:
        silent = [n for n in self.heard_at if n not in self.ended and self._left_of(n) <= 0]
        now = time.monotonic()
        seconds = max((now - self.heard_at[n] for n in silent), default=0.0)
        return {"silent": silent, "seconds": f"{seconds:.0f}"}


def _named(rank: Process) -> str:
    return f"rank {rank.number} (pid {rank.pid}{f' on {rank.host}' if rank.host else ''})"
