"""How a lane tells of its work: never silent for long, never more than anybody can use."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from thunder.training import events
from thunder.training.events import Emit, Event

BETWEEN_SECONDS = 0.25  # two events of which one may be left out
BEAT_SECONDS = 2.0
MOST_SECONDS = 1800.0  # of one call; after it a disk hangs, and silence lets the runner end it


def written(emit: Emit) -> Emit:
    """Return an emit that also prints what a person would read, so that run.log has it."""

    def tell(event: Event) -> None:
        match event["event"]:
            case "phase":
                print(f"phase   {event['name']} {event['text']}", flush=True)
            case "note" | "warning":
                print(f"{event['event']:<7}  {event['text']}", flush=True)
        emit(event)

    return tell


@contextmanager
def beating(emit: Emit) -> Iterator[None]:
    """Send a beat every two seconds while the block runs: one long call into a library."""
    done, deadline = threading.Event(), time.monotonic() + MOST_SECONDS

    def send() -> None:
        while not done.wait(BEAT_SECONDS) and time.monotonic() < deadline:
            emit(events.beat())

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Throttle:
    """Passes on events that may come often; those too soon after the last one are left out.

    Args:
        at_once: whether the first one is due already.
    """

    def __init__(self, emit: Emit, *, at_once: bool = True) -> None:
        self._emit = emit
        self._last = float("-inf") if at_once else time.monotonic()

    def tell(self, event: Event, *, surely: bool = False) -> None:
        """Send an event, if it is due or must not be missed."""
        now = time.monotonic()
        if surely or now - self._last >= BETWEEN_SECONDS:
            self._last = now
            self._emit(event)

    def beat(self) -> None:
        """Say that work goes on, if nothing was said just now."""
        self.tell(events.beat())


class Progress:
    """Rows done so far, told about as they grow, and surely when all are done.

    Args:
        done: rows that an earlier attempt made.
        of: all rows.
        unit: what the rows are, in the plural.
    """

    def __init__(self, emit: Emit, done: int, of: int, *, unit: str) -> None:
        # A speed after the first row would be none.
        self._throttle, self._of, self._unit = Throttle(emit, at_once=False), of, unit
        self._began = time.monotonic()
        self._before = self.done = done

    @property
    def per_second(self) -> float:
        """Return the rows per second of this attempt."""
        return (self.done - self._before) / max(time.monotonic() - self._began, 1e-9)

    def add(self) -> None:
        """Count a row."""
        self.done += 1
        pace = round(self.per_second, 2)
        event = events.rows(self.done, self._of, unit=self._unit, per_second=pace)
        self._throttle.tell(event, surely=self.done == self._of)

    def beat(self) -> None:
        """Say that the lane is at work, if nothing was said just now."""
        self._throttle.beat()
