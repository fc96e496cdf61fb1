"""The supervisor of ranks: starts them, has them watched, leaves none behind."""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from thunder.training import rank_process
from thunder.training.events import Emit
from thunder.training.rank_process import Inbox, Process, Start
from thunder.training.watch import STOP, Phrases, Watch


def supervise(
    orders: Sequence[Mapping[str, Any]],
    starts: Sequence[Start],
    phrases: Phrases,
    emit: Emit,
    stop: threading.Event | None = None,
) -> list[Any]:
    """Run one process per order to its end, and return what each came to.

    Args:
        orders: requests with at least `start_seconds` and `stall_seconds`: how long a rank may be
            silent before its first step and after it.
        starts: how to start each of them.

    Raises:
        ThunderError: what a rank said, or, with the cause `ranks`, that one died or hangs.
        NotMet: they could not meet, but may elsewhere.
    """
    inbox: Inbox = SimpleQueue()
    with _stoppable(inbox), _started(orders, starts, inbox) as processes:
        watch = Watch(processes, inbox, emit, phrases, stop or threading.Event())
        return watch.results(orders[0]["start_seconds"])


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
def _started(
    orders: Sequence[Mapping[str, Any]], starts: Sequence[Start], inbox: Inbox
) -> Iterator[list[Process]]:
    processes: list[Process] = []
    try:
        for number, (order, start) in enumerate(zip(orders, starts, strict=True)):
            processes.append(Process(number, order, inbox, start))
        yield processes
    finally:
        rank_process.end(processes)
