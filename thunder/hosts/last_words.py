"""A process's last words: how it ended, and what its log says last."""

import signal
from pathlib import Path

_LAST_LINES = 20
_LAST_BYTES = 1 << 14


def exit_text(code: int) -> str:
    """Return how a process ended, in words."""
    if code < 0:
        is_known = -code in set(signal.Signals)
        return f"was killed by {signal.Signals(-code).name if is_known else f'signal {-code}'}"
    return f"ended with exit code {code}"


def last_lines(log: Path) -> list[str]:
    """Return the last lines of a log."""
    if not log.is_file():
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _LAST_BYTES))
        end = stream.read().decode("utf-8", errors="replace")
    return end.splitlines()[-_LAST_LINES:]
