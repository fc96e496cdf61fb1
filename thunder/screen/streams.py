"""Standard output and error: what a terminal would obey is escaped, and nothing is a traceback."""

import io
import os
import sys
from typing import Any

from thunder.ground.wording import printable


class Escaped:
    """A stream of text that escapes control characters: words from outside may bring any."""

    def __init__(self, stream: Any) -> None:
        self.raw = stream  # for who writes control characters of its own, and escapes the words

    def write(self, text: str) -> int:
        """Write a text as a person may see it."""
        return int(self.raw.write(printable(text)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def prepare() -> None:
    """Let all that is printed be escaped; a terminal without N'Ko, a closed stream do no harm."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        if not isinstance(getattr(sys, name), Escaped):
            setattr(sys, name, Escaped(getattr(sys, name)))


def raw_output() -> Any:
    """Return standard output as it was before it was prepared."""
    return sys.stdout.raw if isinstance(sys.stdout, Escaped) else sys.stdout


def forget_output() -> None:
    """Give up an output that nobody reads: what Python flushes at its end must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
