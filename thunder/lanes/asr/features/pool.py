"""Work in processes or threads, in order, a bounded number of tasks ahead, with a deadline."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

import torch

from thunder.ground.errors import ThunderError

T = TypeVar("T")
R = TypeVar("R")

LOOK_SECONDS = 1.0


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """Give processes that end with this one, however it ends."""
    # Spawned: a fork would take torch's threads and locks along.
    context = multiprocessing.get_context("spawn")
    with _closing(ProcessPoolExecutor(count, context, initializer=_begin)) as executor:
        yield executor


@contextmanager
def threads(count: int) -> Iterator[Executor]:
    """Give threads of this process."""
    with _closing(ThreadPoolExecutor(count, "features")) as executor:
        yield executor


@contextmanager
def one_thread() -> Iterator[Executor]:
    """Give one thread that computes what a process of `processes` would, to the bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threads(1) as executor:
            yield executor
    finally:
        torch.set_num_threads(before)


def ordered(
    executor: Executor,
    function: Callable[[T], R],
    tasks: Iterable[T],
    *,
    ahead: int,
    beat: Callable[[], None],
    stall_seconds: float,
) -> Iterator[R]:
    """Yield the results in the order of the tasks; memory holds `ahead` of them at most.

    Args:
        beat: called about every second while a result is waited for.
        stall_seconds: the longest wait for one result.
    """
    waiting: deque[Future[R]] = deque()
    try:
        for task in tasks:
            waiting.append(executor.submit(function, task))
            if len(waiting) >= ahead:
                yield _result(waiting.popleft(), beat, stall_seconds)
        while waiting:
            yield _result(waiting.popleft(), beat, stall_seconds)
    except BrokenProcessPool as error:
        raise ThunderError(
            "features: a process that reads audio was killed (out of memory?); "
            "run it again to go on from the last shard",
            "environment",
        ) from error


def _result(future: "Future[R]", beat: Callable[[], None], stall_seconds: float) -> R:
    deadline = time.monotonic() + stall_seconds
    while not wait([future], LOOK_SECONDS).done:
        beat()
        if time.monotonic() > deadline:
            raise ThunderError(
                f"features: nothing came of a task for {stall_seconds:g} s (a disk that hangs?); "
                "run it again to go on from the last shard, or raise runtime.stall_seconds",
                "environment",
            )
    return future.result()


@contextmanager
def _closing(executor: Executor) -> Iterator[Executor]:
    try:
        yield executor
    except BaseException:
        # Not waited for: a task that hangs would keep the failure from being told.
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


def _begin() -> None:
    """Make a fresh process a worker: one thread, deaf to Ctrl-C, gone with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    torch.set_num_threads(1)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
