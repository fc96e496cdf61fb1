"""One planned cell, executed: its lock, its attempt in the record, and what became of it."""

import contextlib
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
from thunder.runs import claim as claims
from thunder.runs.cells import Planned
from thunder.runs.run import Run

GiveTurn = Callable[[], None] | None
End = Literal["reached", "failed", "blocked", "stopped", "elsewhere", "left"]


@dataclass(frozen=True)
class Outcome:
    """What became of a planned cell.

    Args:
        ending: reached, failed, blocked (by a need), stopped, elsewhere (another runner has it),
            left (it goes on on a host, and nobody here waits for it).
        is_given_back: whether it failed because the host that had it is gone.
        left_on: that host.
    """

    planned: Planned
    ending: End
    seconds: float
    error: dict[str, Any] | None = None
    is_given_back: bool = False
    left_on: str | None = None


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

    def ask(self, question: str) -> str:
        """Return what somebody answers, nothing where nobody is there."""


def run_one(row: Planned, screen: Screen, stop: place.Stop, give_turn: GiveTurn) -> Outcome:
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
    row: Planned, held: lock.Lock, screen: Screen, stop: place.Stop, give_turn: GiveTurn
) -> Outcome:
    begun = time.monotonic()
    live = _living(row)
    row = _again(row, is_live=live is not None)
    if row.is_reached:
        return Outcome(row, "reached", 0.0)
    if live is None and stop.only_ends:
        return Outcome(row, "stopped", 0.0)
    screen.begin(row)
    record = _started(row) if live is None else live
    watch = _Watch(row.run, held, record, lambda event: screen.event(row, event))
    try:
        ending = _execute(row, held, stop, watch)
        if ending.left_on is not None:
            return Outcome(row, "left", time.monotonic() - begun, left_on=ending.left_on)
        outcome = _ended(row, ending, watch, begun, stop, give_turn)
    except Exception as mishap:  # whatever befell the job, its record says so
        error, seconds = _described(mishap, row), time.monotonic() - begun
        is_gone = isinstance(mishap, place.Gone)
        if is_gone and stop.only_ends:
            error["cause"] = "stopped"
        outcome = _ended_badly(row, watch, error, seconds, stop)
        return replace(outcome, is_given_back=is_gone and outcome.ending == "failed")
    claims.drop(row.run.folder)
    if (
        live
        and outcome.ending == "reached"
        and live["attempts"][-1]["to_step"] != row.cell.job.goal
    ):
        return _run_owned(row, held, screen, stop, give_turn)  # it was asked to go less far
    return outcome


def _ended(
    row: Planned,
    ending: place.Ending,
    watch: "_Watch",
    begun: float,
    stop: place.Stop,
    give_turn: GiveTurn,
) -> Outcome:
    """Take a run that has ended into its record."""
    if give_turn:
        give_turn()
    watch.held.check()
    seconds = time.monotonic() - begun
    if ending.result is None:
        return _ended_badly(row, watch, _complete(ending.error or {}, row), seconds, stop)
    attempts.finish(row.run, watch.record, ending.result, seconds)
    return Outcome(row, "reached", seconds)


def _living(row: Planned) -> dict[str, Any] | None:
    """Return the record of a run whose last attempt goes on, or ended, on a host."""
    if not row.run.exists():
        return None
    record = row.run.record()
    return record if claims.of_record(row.run.folder, record) else None


def _started(row: Planned) -> dict[str, Any]:
    """Record a new attempt; what a host may still do for an earlier one is ended first."""
    if claims.read(row.run.folder) is not None:
        from thunder.executors import ssh

        ssh.release(row.run.folder)
    return attempts.start(row.run, row.cell.job, provenance.collect(), provenance.changes())


def _execute(row: Planned, held: lock.Lock, stop: place.Stop, watch: "_Watch") -> place.Ending:
    job, live = row.cell.job, claims.read(row.run.folder)
    runtime = job.runtime
    order = place.Order(
        row.run.folder,
        KINDS[job.kind].function,
        held.descriptor,
        frozen_seconds=runtime["stall_seconds"],
        hung_seconds=runtime["start_seconds"],
        machine=row.machine,
        unfit=row.unfit,
    )
    # A run that lives on a host is found there, whatever this command says of places.
    runs_on = [live.host["name"]] if live else runtime["site"]["runs_on"]
    return place.execute(place.named(runs_on), order, stop, watch)


def _ended_badly(
    row: Planned,
    watch: "_Watch",
    error: dict[str, Any],
    seconds: float,
    stop: place.Stop,
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


def _again(row: Planned, *, is_live: bool) -> Planned:
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
    if is_live:
        return begun if is_ended else replace(begun, status="running")
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
        elif event["event"] == "host":  # where it is, in place of where it was asked for
            *before, last = self.record["attempts"]
            told = {key: event[key] for key in ("host", "versions")}
            last = {**last, "provenance": {**last["provenance"], **told}}
            self.record = attempts.write_record(
                self.run, {**self.record, "attempts": [*before, last]}
            )
        elif event["event"] == "backend":
            *before, last = self.record["attempts"]
            last = {**last, "backend": event["backend"]}
            self.record = {**self.record, "attempts": [*before, last]}
        self.show(event)
