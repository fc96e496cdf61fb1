"""A place where runs happen: the small seam that each has, and the table of their names."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from thunder.ground.errors import ThunderError

# `runs_on` of a site is `local` or names of hosts; strings, so that a place is loaded when asked.
PLACES = {"local": "thunder.executors.local", "ssh": "thunder.executors.ssh"}


class Stop(threading.Event):
    """Set by somebody who waits for runs no longer.

    Args:
        reaches_hosts: whether runs on other machines are stopped as well, or left to go on.
        only_ends: whether nothing is begun: a run that no machine goes on with is stopped.
    """

    reaches_hosts = False
    only_ends = False


class Gone(ThunderError):
    """A machine has given a run back: it is not being run there, and did not end."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "environment")


@dataclass(frozen=True)
class Order:
    """What is to be run.

    Args:
        folder: the run folder, with config and record: all that a place needs.
        function: the lane function as `module:function`.
        lock: descriptor of the run's lock; what works on the run holds it as well, so that the
            run stays owned until the last of us is gone.
        frozen_seconds: how long it may give no sign of life.
        hung_seconds: how long the lane in it may say nothing, though the process lives.
        machine: that is free for it, of several.
        unfit: those that have not the room for it, and what they lack.
    """

    folder: Path
    function: str
    lock: int
    frozen_seconds: float
    hung_seconds: float
    machine: str | None = None
    unfit: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Args:
        result: what the lane returned, when it ended well.
        error: message, cause class and last lines, when it did not.
        left_on: the machine that it goes on on, when it has not ended.
    """

    result: dict[str, Any] | None
    error: dict[str, Any] | None
    left_on: str | None = None


class Place(Protocol):
    """What a module of this room has. A handle is what `start` gave, whatever it is."""

    def start(self, order: Order) -> Any:
        """Begin a run; return its handle."""

    def follow(self, handle: Any, stopping: Stop) -> Iterator[dict[str, Any]]:
        """Yield its events until it has ended, was asked to stop and did, or was too long silent.

        Args:
            stopping: set by somebody who wants it stopped.
        """

    def stop(self, handle: Any) -> None:
        """Leave nothing of it behind, whether it has ended or not."""

    def fetch(self, handle: Any) -> Ending:
        """Have what it left in the run folder, and say how it ended."""


def named(runs_on: str | Sequence[str]) -> Place:
    """Return the place that a site means by `runs_on`: `local`, or names of hosts."""
    place: Place = import_module(PLACES[runs_on if isinstance(runs_on, str) else "ssh"])
    return place


def machines(runs_on: str | Sequence[str]) -> int:
    """Return how many machines `runs_on` names."""
    return 1 if isinstance(runs_on, str) else len(runs_on)


def execute(
    where: Place,
    order: Order,
    stopping: Stop,
    on_event: Callable[[dict[str, Any]], None],
) -> Ending:
    """Have a run happen at a place, to its end or to a deadline."""
    handle = where.start(order)
    try:
        for event in where.follow(handle, stopping):
            on_event(event)
    finally:
        where.stop(handle)
    return where.fetch(handle)
