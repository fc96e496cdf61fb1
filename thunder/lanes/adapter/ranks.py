"""The supervisor of ranks: spawns them, watches them, says which one failed and why, and leaves none behind."""

import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NoReturn

from thunder.errors import Stopped, ThunderError
from thunder.lanes.adapter import process
from thunder.lanes.adapter.process import Inbox, Process
from thunder.lanes.adapter.rank import LEASE_GONE, NO_RING, PEER_LOST

Emit = Callable[[dict[str, Any]], None]

LOCAL = "127.0.0.1"
TRIES = 3
# How long the others may take to fall after the first, before its cause is named.
SETTLE_SECONDS = 0.5
BEAT_SECONDS = 1.0
FORWARDED = {"step", "valid", "checkpoint", "note", "warning"}
STOP = -1


@dataclass(frozen=True)
class Request:
    """All that the ranks of a window need to know.

    Args:
        config: the whole checked config of the job.
        folder: the run folder.
        run_id: the id of the run, for its checkpoints.
        stop: the absolute step at which the window ends.
        model_folder: where the model lies.
        tokens: the folder that `tokens.prepare` wrote.
        inputs: the digests of model and data.
        stand_in: whether either of them only stands in for the real one.
    """

    config: Mapping[str, Any]
    folder: str
    run_id: str
    stop: int
    model_folder: str
    tokens: str
    inputs: Mapping[str, str]
    stand_in: bool


class _NoRing(Exception):
    """The ring could not be formed on these ports."""


def train_window(request: Request, emit: Emit, stop: threading.Event | None = None) -> dict[str, Any]:
    """Train a window on all ranks and return {"start", "step", "valid_loss"} as rank 0 saw it."""
    world = request.config["train"]["ranks"]
    return _supervise(_orders(request, "train", world), emit, stop)[0]


def evaluate(request: Request, step: int, emit: Emit) -> dict[str, Any]:
    """Return what a fresh single process finds in the checkpoint of a step."""
    orders = _orders(request, "verify", 1)
    return _supervise([{**orders[0], "stop": step}], emit, None)[0]


def ring_smoke(world: int, cache: Path, seconds: float = 30.0) -> list[dict[str, Any]]:
    """Form a ring and sum over it; return each rank's {"size", "sum", "latency_ms"}."""
    order = {
        "mode": "smoke",
        "world": world,
        "cache": str(cache),
        "start_seconds": seconds,
        "stall_seconds": seconds,
    }
    orders = [{**order, "rank": rank} for rank in range(world)]
    results = _supervise(orders, lambda event: None, None)
    expected = world * (world + 1) / 2
    for rank, result in enumerate(results):
        if result["size"] != world or result["sum"] != expected:
            raise ThunderError(f"rank {rank} of {world} found a ring of {result}", "ranks")
    return results


def _orders(request: Request, mode: str, world: int) -> list[dict[str, Any]]:
    runtime = request.config["runtime"]
    order = {
        **asdict(request),
        "mode": mode,
        "world": world,
        "cache": str(Path(runtime["outputs"]) / "cache"),
        "start_seconds": runtime["start_seconds"],
        "stall_seconds": runtime["stall_seconds"],
    }
    return [{**order, "rank": rank} for rank in range(world)]


def _supervise(
    orders: list[dict[str, Any]], emit: Emit, stop: threading.Event | None
) -> list[dict[str, Any]]:
    """Run the ranks to their end, with new ports if others use the first ones."""
    reason = ""
    for attempt in range(1, TRIES + 1):
        # What an earlier try still says must not be heard in this one.
        inbox: Inbox = SimpleQueue()
        with _stoppable(inbox), _spawned(orders, inbox) as processes:
            try:
                watch = _Watch(processes, inbox, emit, stop or threading.Event())
                return watch.results(orders[0]["start_seconds"])
            except _NoRing as error:
                reason = str(error)
                emit({"event": "note", "text": f"no ring in try {attempt} of {TRIES}: {reason}"})
    raise ThunderError(f"the ranks could not form a ring in {TRIES} tries: {reason}", "ranks")


@contextmanager
def _stoppable(inbox: Inbox) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a message, so that no clean-up is torn apart."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    old = {n: signal.signal(n, lambda *_: inbox.put((STOP, None))) for n in numbers}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def _spawned(orders: list[dict[str, Any]], inbox: Inbox) -> Iterator[list[Process]]:
    shared = {"token": secrets.token_hex(16), "ring": _addresses(len(orders))}
    processes: list[Process] = []
    try:
        for number, order in enumerate(orders):
            processes.append(Process(number, {**order, **shared}, inbox))
        yield processes
    finally:
        process.end(processes)


def _addresses(world: int) -> list[list[str]]:
    """Return a free address for each rank; another process may still take one, so the ranks shake hands."""
    sockets = [socket.socket() for _ in range(world)]
    try:
        for found in sockets:
            found.bind((LOCAL, 0))
        return [[f"{LOCAL}:{found.getsockname()[1]}"] for found in sockets]
    finally:
        for found in sockets:
            found.close()


@dataclass
class _Watch:
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
            if self._left() <= 0:
                self._raise_silence()
        return [self.done[rank.number] for rank in self.processes]

    def _left(self) -> float:
        now = time.monotonic()
        running = [n for n in self.heard if n not in self.ended]
        return min((self.heard[n] + self.within[n] - now for n in running), default=BEAT_SECONDS)

    def _beat(self) -> None:
        if time.monotonic() - self.beaten > BEAT_SECONDS:
            self.beaten = time.monotonic()
            self.emit({"event": "beat"})

    def _take(self, seconds: float) -> None:
        """Take in one event, waiting for it no longer than told."""
        with suppress(Empty):
            number, event = self.inbox.get(timeout=max(0.0, seconds))
            if number == STOP:
                raise Stopped("stopped; run again to go on from the last checkpoint")
            if event is None:
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
        # A ring waits for a missing rank without limit, so nobody begins to form it before all are there.
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
            raise _NoRing(self.told[first]["text"])
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
            raise _NoRing(f"ranks {sorted(self.joining)} waited in vain for the ring")
        silent = [n for n in self.heard if n not in self.ended]
        seconds = max(time.monotonic() - self.heard[n] for n in silent)
        raise ThunderError(
            f"no sign of life from ranks {silent} for {seconds:.0f} s: a link is down or a process hangs; "
            "look at run.log, then run again to go on from the last checkpoint",
            "ranks",
        )

    def _raise_stopped(self) -> None:
        stopped = [rank for rank in self.processes if rank.code is None and rank.is_stopped()]
        if stopped:
            named = ", ".join(f"rank {rank.number} (pid {rank.pid})" for rank in stopped)
            raise ThunderError(f"{named} is stopped (suspended from outside)", "ranks")


def _blame(code: int | None, told: bool) -> int:
    """Return the place of an exit in the order of causes: a named fault, a death, and last what follows from them."""
    if code in (NO_RING, LEASE_GONE, PEER_LOST):
        return {NO_RING: 2, LEASE_GONE: 3, PEER_LOST: 4}[code]
    return 0 if told else 1


def _end(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    if code == PEER_LOST:
        return "lost its peer"
    return f"ended with exit code {code}"
