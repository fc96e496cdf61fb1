"""Files on their way, for a person: how much is there, how fast, how long it will take."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

_LINE_SECONDS = 10.0  # between two lines of a log

Show = Callable[[int, int], None]


@contextlib.contextmanager
def shown(label: str, say: Callable[[str], None]) -> Iterator[Show]:
    """Yield what is told of the bytes that are there, and of how many they will be.

    Args:
        label: what is on its way, and whereto.
        say: prints a line, where there is no terminal.
    """
    if sys.stdout.isatty():
        from thunder.screen.terminal import moving

        with moving(label) as show:
            yield show
    else:
        yield _lines(label, say)


def _lines(label: str, say: Callable[[str], None]) -> Show:
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
