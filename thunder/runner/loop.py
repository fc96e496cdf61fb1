"""Plan and run: what is done is skipped, what was begun is resumed, the rest is executed."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from thunder.executors.place import Stop
from thunder.ground import errors, wording
from thunder.runner.execute import GiveTurn, Outcome, Screen, run_one
from thunder.runner.queue import Queue
from thunder.runs import provenance
from thunder.runs.cells import Planned

EXIT_FAILED, EXIT_ELSEWHERE, EXIT_STOPPED = errors.EXIT_FAILED, 3, errors.EXIT_STOPPED
_WAIT_SECONDS = 0.2
_BUSY_SECONDS = 1.0
_MOST_LOST = 10  # how often a run is begun again after a machine that had it is gone
_MAY_PASS = ("environment", "write")  # never a fault of training or data, which comes again
_LONGEST_PAUSE_SECONDS = 60.0
_LEAVING = "no longer waiting; what runs on hosts goes on there"
# SIGHUP is how a closed terminal or a lost ssh connection says goodbye.
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(
    planned: Sequence[Planned],
    screen: Screen,
    *,
    at_once: int = 1,
    retries: int = 0,
    wait: bool = False,
    only_ends: bool = False,
) -> list[Outcome]:
    """Run what is not reached yet, `at_once` at a time; a failure never stops the others.

    Cells of one job (its windows) run one after the other, in order of their goals.

    Args:
        retries: how often a run is tried again that failed for a cause that may pass.
        wait: whether what another runner has is waited for. The wait ends: what runs has
            deadlines of its own, and its lock goes with its process.
        only_ends: whether runs that live on hosts are seen to their end, and nothing is begun.
    """
    way = _Way(screen, at_once, retries, wait, only_ends)
    outcomes = _run_once(planned, way)
    told = 0
    while wait and (busy := [row.planned for row in outcomes if row.ending == "elsewhere"]):
        if len(busy) != told:
            screen.note(f"waiting for {wording.count(len(busy), 'run')} that another runner has")
            told = len(busy)
        time.sleep(_BUSY_SECONDS)
        while any(row.run.is_owned() for row in busy):
            time.sleep(_WAIT_SECONDS)
        outcomes = [row for row in outcomes if row.ending != "elsewhere"]
        outcomes += _run_once(busy, way)
    return outcomes


@dataclass(frozen=True)
class _Way:
    """How cells are run; see `run`."""

    screen: Screen
    at_once: int
    retries: int
    wait: bool
    only_ends: bool


def _run_once(planned: Sequence[Planned], way: _Way) -> list[Outcome]:
    todo = [row for row in planned if not row.is_reached]
    outcomes = [Outcome(row, "reached", 0.0) for row in planned if row.is_reached]
    if not todo:
        return outcomes
    provenance.changes()  # with the rest, before any work: the tree may move while we run
    groups: dict[Path, list[Planned]] = {}
    for row in todo:
        groups.setdefault(row.run.folder, []).append(row)
    stop = Stop()
    stop.only_ends = way.only_ends
    queue = Queue([sorted(rows, key=_goal) for rows in groups.values()], way.at_once)
    # A run gives its turn away when its process is gone: while one thread writes what became
    # of it, to a disk that may be slow, another begins the next run.
    threads = way.at_once if way.at_once == 1 else 2 * way.at_once
    are_away = any(not isinstance(_runs_on(row), str) for row in todo)
    with _signals(stop, way.screen, are_away) as settle, ThreadPoolExecutor(threads) as pool:
        begun = [pool.submit(_run_group, queue, way, stop) for _ in groups]
        for future in _completed(begun, settle):
            outcomes += future.result()
    return outcomes


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 0 when everything was reached, else what went wrong, the gravest first."""
    endings = {outcome.ending for outcome in outcomes}
    for ending, code in (
        ("stopped", EXIT_STOPPED), ("left", EXIT_STOPPED), ("failed", EXIT_FAILED),
        ("blocked", EXIT_FAILED),
        ("elsewhere", EXIT_ELSEWHERE),
    ):  # fmt: skip
        if ending in endings:
            return code
    return 0


def _goal(row: Planned) -> int:
    return row.cell.job.goal or 0


def _runs_on(row: Planned) -> str | list[str]:
    runs_on: str | list[str] = row.cell.job.runtime["site"]["runs_on"]
    return runs_on


def _completed(
    begun: list[Future[list[Outcome]]], settle: Callable[[], None]
) -> Iterator[Future[list[Outcome]]]:
    left = set(begun)
    while left:  # a bounded wait, so that signals are heard
        finished, left = futures.wait(left, _WAIT_SECONDS, FIRST_COMPLETED)
        yield from finished
        settle()


@contextmanager
def _signals(stop: Stop, screen: Screen, are_away: bool) -> Iterator[Callable[[], None]]:
    """Set `stop` when somebody wants an end; yield what settles which end, called now and then.

    Args:
        are_away: whether runs live on hosts, where they can go on.
    """
    heard_interrupt = threading.Event()

    def hear(number: int, _: object) -> None:
        if are_away and number == signal.SIGINT and not heard_interrupt.is_set():
            heard_interrupt.set()  # asked in the main thread, outside of this handler
        elif not stop.is_set():
            stop.set()
            screen.note(_LEAVING if are_away else "stopping; every run stays resumable")

    def settle() -> None:
        if heard_interrupt.is_set() and not stop.is_set():
            answer = screen.ask("leave the runs on their hosts, or stop them? [leave/stop] ")
            stop.reaches_hosts = bool(answer) and "stop".startswith(answer.strip().lower())
            stop.set()
            screen.note("stopping; every run stays resumable" if stop.reaches_hosts else _LEAVING)

    # Under nohup SIGHUP is ignored, and stays so.
    ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
    heard = [number for number in _STOP_SIGNALS if number not in ignored]
    before = [(number, signal.signal(number, hear)) for number in heard]
    try:
        yield settle
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _run_group(queue: Queue, way: _Way, stop: Stop) -> list[Outcome]:
    """Run the cells of the next job in turn; what ends one of them ends those after it."""
    outcomes: list[Outcome] = []
    with contextlib.ExitStack() as turn:
        rows = turn.enter_context(queue.turn())
        for row in rows:
            if stop.is_set():
                outcomes.append(Outcome(row, "stopped", 0.0))
            elif outcomes and outcomes[-1].ending != "reached":
                outcomes.append(replace(outcomes[-1], planned=row, seconds=0.0))
            else:
                # Windows of one job follow each other: only the last gives the turn away early.
                give_turn = turn.close if row is rows[-1] and not way.retries else None
                outcomes.append(_run_with_retries(row, way, stop, give_turn))
                if not (way.wait and outcomes[-1].ending == "elsewhere"):
                    way.screen.end(outcomes[-1])
    return outcomes


def _run_with_retries(row: Planned, way: _Way, stop: Stop, give_turn: GiveTurn) -> Outcome:
    """Run a cell, and again after a while if it failed for a cause that may pass."""
    name, retries = row.run.folder.name, way.retries
    for number in range(1, retries + 1):
        outcome = _run_where_it_lives(row, way, stop, None)
        cause = (outcome.error or {}).get("cause")
        if outcome.ending != "failed" or cause not in _MAY_PASS:
            return outcome
        pause = min(2.0 ** (number - 1), _LONGEST_PAUSE_SECONDS)
        way.screen.note(f"{name} failed ({cause}); retry {number} of {retries} in {pause:.0f} s")
        if stop.wait(pause):
            return outcome
    return _run_where_it_lives(row, way, stop, give_turn)


def _run_where_it_lives(row: Planned, way: _Way, stop: Stop, give_turn: GiveTurn) -> Outcome:
    """Run a cell, and on another machine when the one that has it is gone."""
    outcome = run_one(row, way.screen, stop, give_turn)
    for _ in range(_MOST_LOST):
        if not outcome.is_given_back or stop.is_set():
            break
        message = (outcome.error or {})["message"].splitlines()[0]
        way.screen.note(f"{row.run.folder.name}: {message}; it is given back, and begins anew")
        outcome = run_one(row, way.screen, stop, give_turn)
    return outcome
