"""Files on their way, for a person: how much is there, how fast, how long it will take."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from thunder.ground import moving


@contextlib.contextmanager
def shown(label: str, say: Callable[[str], None]) -> Iterator[moving.Show]:
    """Yield what is told of the bytes that are there, and of how many they will be.

    Args:
        label: what is on its way, and whereto.
        say: prints a line, where there is no terminal.
    """
    if sys.stdout.isatty():
        from thunder.screen import terminal

        with terminal.moving(label) as show:
            yield show
    else:
        yield moving.lines(label, say)
