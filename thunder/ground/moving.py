"""How far files are that are on their way: bytes, rate, the time that is left."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from thunder.ground.errors import ThunderError

_LINE_SECONDS = 10.0  # between two lines
_LOOK_SECONDS = 0.5
_END_SECONDS = 1.0

Show = Callable[[int, int], None]  # bytes that are there, of so many


def silent(done: int, of: int) -> None:
    """Show nothing."""


@contextmanager
def watched(size: Callable[[], int], total: int, show: Show) -> Iterator[None]:
    """Tell now and then how much is there of what the block brings.

    Args:
        size: asks how many bytes are there.
    """
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            try:
                there = size()
            except ThunderError:  # whoever waits for the files hears of it
                return
            if not ended.is_set():
                show(min(total, there), total)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
        show(total, total)
    finally:
        ended.set()
        looking.join(_END_SECONDS)  # it may wait for a host that hashes for minutes


def lines(label: str, say: Callable[[str], None]) -> Show:
    """Return what is told of the bytes that are there, and says it by a line now and then.

    Args:
        label: what is on its way, and whereto.
    """
    begun, before = time.monotonic(), None
    last = begun

    def show(done: int, of: int) -> None:
        nonlocal before, last
        now = time.monotonic()
        before = done if before is None else before  # what a cut left was not brought now
        if now - last < _LINE_SECONDS or done == of:
            return
        last = now
        say(f"{label}  {progress(done, of, (done - before) / (now - begun))}")

    return show


def progress(done: int, of: int, rate: float) -> str:
    """Return how far it is.

    Args:
        rate: bytes per second.
    """
    left = f"{(of - done) / rate:,.0f} s left" if rate > 0 else "no byte yet"
    return f"{done / 1e6:,.0f} of {of / 1e6:,.0f} MB, {rate / 1e6:,.1f} MB/s, {left}"
