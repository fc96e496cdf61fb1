"""How far files are that are on their way: bytes, rate, the time that is left."""

import time
from collections.abc import Callable

_LINE_SECONDS = 10.0  # between two lines

Show = Callable[[int, int], None]


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
