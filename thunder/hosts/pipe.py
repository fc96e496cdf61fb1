"""Events from a process to who started it: one JSON object a line, on a pipe."""

from __future__ import annotations

import json
import os
import threading

from thunder.ground.errors import ThunderError

TYPE_CHECKING = False  # importing typing to ask it would cost a tenth of a no-op job
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


def emitter(descriptor: int) -> Callable[[dict[str, Any]], None]:
    """Return a function that writes events to a descriptor, each whole, from any thread."""
    lock = threading.Lock()

    def emit(event: dict[str, Any]) -> None:
        data = (json.dumps(event, ensure_ascii=False) + "\n").encode()
        with lock:
            while data:
                data = data[os.write(descriptor, data) :]

    return emit


def parsed(line: bytes) -> dict[str, Any]:
    """Return the event of a line.

    Raises:
        ThunderError: it is none, which is a crash of who wrote it.
    """
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):  # the second: nested too deep
        raise garbage(line) from None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise garbage(line)
    return event


def garbage(data: bytes, faults: Sequence[str] = ()) -> ThunderError:
    """Return an error that shows the beginning of what is no event, and why it is none."""
    shown = ascii(data[:80].decode("utf-8", errors="replace"))
    lines = [f"the run's process sent what is not an event: {shown}", *faults]
    return ThunderError("\n  ".join(lines), "crash")
