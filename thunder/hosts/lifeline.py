"""A process's lifeline: the pipe on its standard input. It goes with who holds the other end.

Every child of the runner loads this at its start: a little of the standard library, no more.
"""

from __future__ import annotations

import os
import select
import sys
import threading

TYPE_CHECKING = False  # importing typing to ask it would cost a tenth of a no-op job
if TYPE_CHECKING:
    from collections.abc import Callable

LIFELINE_GONE = 4  # the exit code of who left for it


def watch(
    gone: Callable[[], None], beat: Callable[[], None] | None = None, seconds: float | None = None
) -> None:
    """Have a thread call `gone` when the lifeline is; until then `beat`, every so many seconds."""
    threading.Thread(target=_wait, args=(gone, beat, seconds), daemon=True).start()


def leave() -> None:
    """End this process at once, whatever its other threads do."""
    os._exit(LIFELINE_GONE)


def guard() -> None:
    """Start a process that kills this one's group when the lifeline is gone.

    A call into a library can hold the interpreter's lock, and a stopped process runs no thread.
    """
    script = f"import os\nwhile os.read(0, 4096): pass\nos.killpg({os.getpid()}, 9)"
    # Not by a shell, which a slim machine may lack: Python is there.
    os.posix_spawn(sys.executable, [sys.executable, "-I", "-S", "-c", script], os.environ)


def line() -> str:
    """Read one line of orders, byte by byte: what follows belongs to the lifeline. Or leave."""
    data = bytearray()
    while not data.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            leave()
        data += byte
    return data.decode()


def _wait(gone: Callable[[], None], beat: Callable[[], None] | None, seconds: float | None) -> None:
    try:
        while not _is_gone(seconds):
            if beat:
                beat()
    except OSError:
        pass  # nobody is there to hear a beat
    gone()


def _is_gone(seconds: float | None) -> bool:
    readable, _, _ = select.select([0], [], [], seconds)
    return bool(readable) and not os.read(0, 1 << 12)
