"""Plan and run: what is done is skipped, what was begun is resumed, the rest is executed."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from thunder import job as jobs
from thunder import provenance, store
from thunder.errors import ThunderError
from thunder.executors import local
from thunder.matrix import Cell

EXIT_FAILED, EXIT_ELSEWHERE, EXIT_STOPPED = 1, 3, 130
_WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class Planned:
    """A cell, the run that answers it, and how far that run is."""

    cell: Cell
    run: store.Run
    status: str
    step: int | None

    @property
    def is_reached(self) -> bool:
        """Whether what the cell asks for is there already."""
        goal = self.cell.job.goal
        if self.status in ("running", "lost") or goal is None or self.step is None:
            return self.status == "done"
        return self.step >= goal


@dataclass(frozen=True)
class Outcome:
    """What became of a planned cell: reached, failed, stopped, or elsewhere."""

    planned: Planned
    ending: str
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


def plan(cells: Sequence[Cell], outputs: Path, *, force: bool = False) -> list[Planned]:
    """Say for every cell how far it is; reads only the folders that exist."""
    existing = {
        kind: {path.name for path in (outputs / kind).iterdir()}
        if (outputs / kind).is_dir()
        else set()
        for kind in {cell.job.kind for cell in cells}
    }
    return [_planned(cell, outputs, existing[cell.job.kind], force) for cell in cells]


def _planned(cell: Cell, outputs: Path, existing: set[str], force: bool) -> Planned:
    job = cell.job
    if job.id not in existing:
        return Planned(cell, store.Run(outputs / job.kind / job.id), "planned", None)
    run = store.find(outputs, job.kind, job.id)
    if not run.exists():
        return Planned(cell, run, "planned", None)
    record = run.record()
    run.check_drift(job.document)
    planned = Planned(cell, run, run.status(record), record["step"])
    if force and planned.is_reached:
        return Planned(cell, store.beside(outputs, run), "planned", None)
    return planned


def run(planned: Sequence[Planned], screen: Screen, *, at_once: int = 1) -> list[Outcome]:
    """Run what is not reached yet, `at_once` at a time; a failure never stops the others.

    Cells of one job (its windows) run one after the other, in order of their goals.
    """
    todo = [row for row in planned if not row.is_reached]
    outcomes = [Outcome(row, "reached", 0.0) for row in planned if row.is_reached]
    if not todo:
        return outcomes
    provenance.collect()  # before any work: the working tree may move while we run
    groups: dict[Path, list[Planned]] = {}
    for row in todo:
        groups.setdefault(row.run.folder, []).append(row)
    stop = threading.Event()
    with _signals(stop, screen), ThreadPoolExecutor(at_once) as pool:
        futures = [
            pool.submit(_run_group, sorted(rows, key=_goal), screen, stop)
            for rows in groups.values()
        ]
        for future in _completed(futures):
            outcomes += future.result()
    return outcomes


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 0 when everything was reached, else what went wrong, the gravest first."""
    endings = {outcome.ending for outcome in outcomes}
    for ending, code in (
        ("stopped", EXIT_STOPPED), ("failed", EXIT_FAILED), ("elsewhere", EXIT_ELSEWHERE),
    ):  # fmt: skip
        if ending in endings:
            return code
    return 0


def _goal(row: Planned) -> int:
    return row.cell.job.goal or 0


def _completed(futures: list[Future[list[Outcome]]]) -> Iterator[Future[list[Outcome]]]:
    pending = set(futures)
    while pending:  # a bounded wait, so that signals are heard
        finished, pending = wait(pending, timeout=_WAIT_SECONDS, return_when=FIRST_COMPLETED)
        yield from finished


@contextmanager
def _signals(stop: threading.Event, screen: Screen) -> Iterator[None]:
    def ask(*_: object) -> None:
        if not stop.is_set():
            stop.set()
            screen.note("stopping; every run stays resumable")

    before = [(number, signal.signal(number, ask)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _run_group(rows: list[Planned], screen: Screen, stop: threading.Event) -> list[Outcome]:
    outcomes = []
    for row in rows:
        outcome = _run_one(row, screen, stop)
        outcomes.append(outcome)
        screen.end(outcome)
    return outcomes


def _run_one(row: Planned, screen: Screen, stop: threading.Event) -> Outcome:
    begun = time.monotonic()
    if stop.is_set():
        return Outcome(row, "stopped", 0.0)
    try:
        with store.owned(row.run) as lock:
            return _run_owned(row, lock, screen, stop)
    except store.Busy:
        return Outcome(row, "elsewhere", time.monotonic() - begun)
    except ThunderError as error:
        return _failed(row, {"message": str(error), "cause": error.cause}, begun)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        message = f"{place}{error.strerror or error}"
        return _failed(row, {"message": message, "cause": "write"}, begun)


def _run_owned(row: Planned, lock: int, screen: Screen, stop: threading.Event) -> Outcome:
    begun = time.monotonic()
    job = row.cell.job
    row = _again(row)  # another runner may have finished it while we waited for the lock
    if row.is_reached:
        return Outcome(row, "reached", 0.0)
    screen.begin(row)
    record = store.start(row.run, job, provenance.collect())
    watch = _Watch(record, lambda event: screen.event(row, event))
    ending = local.execute(
        row.run.folder,
        jobs.KINDS[job.kind].function,
        lock=lock,
        stop=stop,
        stall_seconds=job.runtime["stall_seconds"],
        on_event=watch,
    )
    seconds = time.monotonic() - begun
    if ending.result is not None:
        store.finish(row.run, watch.record, ending.result, seconds)
        return Outcome(row, "reached", seconds)
    if stop.is_set():
        store.stop(row.run, watch.record, watch.record["step"], seconds)
        return Outcome(row, "stopped", seconds)
    error = {"last_lines": [], **(ending.error or {}), "reproduce": job.runtime["reproduce"] or ""}
    store.fail(row.run, watch.record, error, seconds)
    return Outcome(row, "failed", seconds, error)


def _again(row: Planned) -> Planned:
    if not row.run.exists():
        return row
    record = row.run.record()
    status = "paused" if record["status"] == "running" else record["status"]
    return Planned(row.cell, row.run, status, record["step"])


class _Watch:
    """Passes events on, and keeps in the record what it must know: verified steps, the backend."""

    def __init__(self, record: dict[str, Any], show: Callable[[dict[str, Any]], None]) -> None:
        self.record = record
        self.show = show

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "checkpoint":
            self.record = {**self.record, "step": event["step"]}
        elif event["event"] == "backend":
            attempts = self.record["attempts"]
            last = {**attempts[-1], "backend": event["backend"]}
            self.record = {**self.record, "attempts": [*attempts[:-1], last]}
        self.show(event)


def _failed(row: Planned, error: dict[str, Any], begun: float) -> Outcome:
    error = {"last_lines": [], "reproduce": row.cell.job.runtime["reproduce"] or "", **error}
    return Outcome(row, "failed", time.monotonic() - begun, error)
