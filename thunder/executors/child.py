"""The process in which one run happens: loads the lane, runs it, tells the runner how it ended.

It lives as long as its runner: when the pipe on standard input closes, it stops.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path

from thunder.ground import owned, run_files
from thunder.ground.errors import Stopped, ThunderError, cause_of, message_of, of_os_error
from thunder.hosts import lifeline
from thunder.hosts.pipe import emitter

TYPE_CHECKING = False  # importing typing to ask it would cost a tenth of a no-op job
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BEAT_SECONDS = 1.0
_STOP_SECONDS = 8.0


def main(arguments: list[str]) -> int:
    """Run the job of a run folder.

    Args:
        arguments: the run folder, the lane function as `module:function`, the descriptor that
            events are written to, and that of the run's lock if it has one.
    """
    folder, function, descriptor = Path(arguments[0]), arguments[1], int(arguments[2])
    for lock in map(int, arguments[3:]):
        owned.keep(str(folder / run_files.LOCK), lock)
    emit = emitter(descriptor)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A beat is the process's: what the lane says is told apart.
    lifeline.watch(_stop_main, lambda: emit({"event": "alive"}), _BEAT_SECONDS)
    try:
        result = _call(function, folder, emit)
        sys.stdout.flush()  # to the log, while it can still be told that this has no room
        emit({"event": "result", **result})
    except BaseException as error:
        return _fail(emit, error, folder)
    return 0


def _fail(emit: Callable[[dict[str, Any]], None], error: BaseException, folder: Path) -> int:
    message, cause = message_of(error), cause_of(error)
    if isinstance(error, OSError) and cause == "write" and not error.filename:
        message = of_os_error(error, folder)  # of a stream, which does not say where
    try:
        if not isinstance(error, ThunderError):
            _print_traceback()
    except OSError:
        pass  # a full disk has no room for the log, but the runner must hear of it
    try:
        emit({"event": "error", "message": message, "cause": cause})
    except OSError as refusal:  # no runner is left to tell
        print(f"{cause}: {message} (not told: {refusal})", file=sys.stderr)
    return 1


def _call(function: str, folder: Path, emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    document = json.loads((folder / run_files.CONFIG).read_text(encoding="utf-8"))
    record = json.loads((folder / run_files.RECORD).read_text(encoding="utf-8"))
    config = {k: v for k, v in document.items() if k not in ("identity", "revision")}
    config["runtime"] = record["attempts"][-1]["runtime"]
    module, _, name = function.partition(":")
    lane = getattr(importlib.import_module(module), name)
    gc.enable()
    return dict(lane(config, folder, emit))


def _stop_main() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    threading.Event().wait(_STOP_SECONDS)
    lifeline.leave()


def _stop(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def _print_traceback() -> None:
    import traceback

    traceback.print_exc()


def serve() -> None:
    """Be the process of a run: do what the command line says, and end."""
    gc.disable()  # until the lane is called: what is loaded before it stays
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written: tidying up the interpreter takes longer than a dry job
