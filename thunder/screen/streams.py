"""Standard output and error, so that what cannot be shown is no traceback."""

import io
import os
import sys


def prepare() -> None:
    """Let a terminal that knows no N'Ko, or a stream that is closed, be no traceback."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def forget_output() -> None:
    """Give up an output that nobody reads: what Python flushes at its end must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
