"""One planned cell, executed: its lock, its attempt in the record, and what became of it."""

import contextlib
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from thunder.executors import place
from thunder.ground.errors import ThunderError, cause_of, message_of
from thunder.jobs.kinds import KINDS
from thunder.runs import attempts, lock, provenance, reading, store
from thunder.runs.cells import Planned
from thunder.runs.run import Run

GiveTurn = Callable[[], None] | None
End = Literal["reached", "failed", "blocked", "stopped", "elsewhere"]


@dataclass(frozen=True)
class Outcome:
    """What became of a planned cell: reached, failed, blocked (by a need), stopped, elsewhere."""

    planned: Planned
    ending: End
    seconds: float
    error: dict[str, Any] | None = None


class Screen(Protocol):
    """What the runner tells; a terminal and a log show it in their own ways."""

    def begin(self, planned: Planned) -> None:
        """A run begins."""

    def event(self, planned: Planned, event: dict[str, Any]) -> None:
        """A run says something."""

    def end(self, outcome: Outcome) -> None:
        """A run ended."""

    def note(self, text: str) -> None:
        """Something to know about the whole."""


def run_one(row: Planned, screen: Screen, stop: threading.Event, give_turn: GiveTurn) -> Outcome:
    """Run one cell.

    Args:
        give_turn: called as soon as another run may begin, if it may before this one has ended.
    """
    begun = time.monotonic()
    if row.fault is not None:
        return Outcome(row, "failed", 0.0, _described(ThunderError(row.fault, "verification"), row))
    try:
        row = _with_paths_of_needs(row)
    except lock.Busy:
        return Outcome(row, "elsewhere", 0.0)
    except ThunderError as error:
        return Outcome(row, "blocked", 0.0, _described(error, row))
    try:
        with lock.owned(row.run.folder) as held:
            return _run_owned(row, held, screen, stop, give_turn)
    except lock.Busy:
        return Outcome(row, "elsewhere", time.monotonic() - begun)
    except (ThunderError, OSError) as error:
        return Outcome(row, "failed", time.monotonic() - begun, _described(error, row))


def _with_paths_of_needs(row: Planned) -> Planned:
    """Return a row whose config says where the runs lie that it needs.

    Raises:
        Busy: one of them is being run by another process.
        ThunderError: one of them is not done.
    """
    job, paths = row.cell.job, dict(row.cell.job.runtime["paths"])
    for need in job.needs:
        run = store.find(Path(job.runtime["outputs"]), need.kind, need.id)
        needed = reading.of(run, None)
        if needed.status == "running":
            raise lock.Busy(f"{run.folder} is being run by another process")
        if not needed.has_result:
            how = needed.fault or f"which is {needed.status}"
            raise ThunderError(f"it needs {need.kind} {need.id}, {how}", "data")
        paths[need.kind] = str(run.folder.absolute())
    if not job.needs:
        return row
    config = {**job.config, "runtime": {**job.runtime, "paths": paths}}
    return replace(row, cell=replace(row.cell, job=replace(job, config=config)))


def _run_owned(
    row: Planned, held: lock.Lock, screen: Screen, stop: threading.Event, give_turn: GiveTurn
) -> Outcome:
    begun = time.monotonic()
    row = _again(row)
    if row.is_reached:
        return Outcome(row, "reached", 0.0)
    screen.begin(row)
    watch = _Watch(
        row.run,
        held,
        attempts.start(row.run, row.cell.job, provenance.collect(), provenance.changes()),
        lambda event: screen.event(row, event),
    )
    try:
        ending = _execute(row, held, stop, watch)
        if give_turn:
            give_turn()
        held.check()
        if ending.result is not None:
            seconds = time.monotonic() - begun
            attempts.finish(row.run, watch.record, ending.result, seconds)
            return Outcome(row, "reached", seconds)
        error = _complete(ending.error or {}, row)
    except Exception as mishap:  # whatever befell the job, its record says so
        error = _described(mishap, row)
    return _ended_badly(row, watch, error, time.monotonic() - begun, stop)


def _execute(row: Planned, held: lock.Lock, stop: threading.Event, watch: "_Watch") -> place.Ending:
    job = row.cell.job
    runtime = job.runtime
    order = place.Order(
        row.run.folder,
        KINDS[job.kind].function,
        held.descriptor,
        frozen_seconds=runtime["stall_seconds"],
        hung_seconds=runtime["start_seconds"],
    )
    return place.execute(place.named(runtime["site"]["runs_on"]), order, stop, watch)


def _ended_badly(
    row: Planned,
    watch: "_Watch",
    error: dict[str, Any],
    seconds: float,
    stop: threading.Event,
) -> Outcome:
    record = watch.record
    is_stopped = stop.is_set() or error["cause"] == "stopped"
    # A full disk, or no place to write to: without a record of its end the run is lost.
    with contextlib.suppress(OSError, lock.Moved):
        watch.held.check()
        if is_stopped:
            attempts.stop(row.run, record, record["step"], seconds)
        else:
            attempts.fail(row.run, record, error, seconds)
    row = replace(row, step=record["step"], saved=record.get("saved"))
    if is_stopped:
        return Outcome(row, "stopped", seconds)
    return Outcome(row, "failed", seconds, error)


def _again(row: Planned) -> Planned:
    """Look again at a run that is ours now: another runner may have finished it, or died in it."""
    read = reading.of(row.run, row.cell.job.goal)
    if read.fault is not None:
        raise ThunderError(read.fault, "verification")
    if read.status == "planned":
        return row
    record = dict(read.record)
    is_ended = record["status"] != "running"
    begun = replace(
        row,
        status=record["status"] if is_ended else "paused",
        step=record["step"],
        saved=record.get("saved"),
    )
    if begun.is_reached and not is_ended:  # nothing will be run that would mend the record
        attempts.stop(row.run, record, record["step"], None)
    return begun


def _described(error: Exception, row: Planned) -> dict[str, Any]:
    """Return an error as records have it."""
    described: dict[str, Any] = {"message": message_of(error), "cause": cause_of(error)}
    if not isinstance(error, ThunderError | OSError):
        described["last_lines"] = "".join(traceback.format_exception(error)).splitlines()
    return _complete(described, row)


def _complete(error: dict[str, Any], row: Planned) -> dict[str, Any]:
    return {"last_lines": [], **error, "reproduce": row.cell.job.runtime["reproduce"] or ""}


class _Watch:
    """Passes events on, and keeps in the record what it must know: verified steps, the backend."""

    def __init__(
        self,
        run: Run,
        held: lock.Lock,
        record: dict[str, Any],
        show: Callable[[dict[str, Any]], None],
    ) -> None:
        self.run = run
        self.held = held
        self.record = record
        self.show = show

    def __call__(self, event: dict[str, Any]) -> None:
        self.held.check()
        if event["event"] == "checkpoint":
            # Written at once: a runner that is killed later must not forget a verified window.
            self.record = attempts.advance(self.run, self.record, event)
        elif event["event"] == "saved":
            self.record = attempts.save(self.run, self.record, event["step"])
        elif event["event"] == "backend":
            *before, last = self.record["attempts"]
            last = {**last, "backend": event["backend"]}
            self.record = {**self.record, "attempts": [*before, last]}
        self.show(event)
