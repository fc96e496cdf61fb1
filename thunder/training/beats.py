"""Signs of life to the runner: during long calls, and between the rows of a long loop."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from thunder.training import events
from thunder.training.events import Emit

BEAT_SECONDS = 2.0
MOST_SECONDS = 1800.0  # of one call; after it a disk hangs, and silence lets the runner end it


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


class Progress:
    """Rows done so far, told about once a second; a beat where nothing was done.

    Args:
        done: rows that an earlier attempt made.
        of: all rows.
    """

    def __init__(self, emit: Emit, done: int, of: int) -> None:
        self._emit, self._of = emit, of
        self._began = self._told = time.monotonic()
        self._before = self.done = done

    @property
    def seconds(self) -> float:
        """Return the time since this attempt began with its rows."""
        return time.monotonic() - self._began

    @property
    def per_second(self) -> float:
        """Return the rows per second of this attempt."""
        return (self.done - self._before) / max(self.seconds, 1e-9)

    def add(self, rows: int = 1) -> None:
        """Count rows."""
        self.done += rows
        if time.monotonic() - self._told >= 1.0 or self.done == self._of:
            self._told = time.monotonic()
            pace = round(self.per_second, 2)
            self._emit(events.rows(self.done, self._of, per_second=pace))

    def beat(self) -> None:
        """Say that the lane is at work, if nothing was said for a while."""
        if time.monotonic() - self._told >= BEAT_SECONDS:
            self._told = time.monotonic()
            self._emit(events.beat())
