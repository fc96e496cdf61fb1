"""One rank's process: `python -m … rank ORDER`, started by torch's launcher.

It says what it does in a file of its own, and ends when the run that started it ends.
"""

import json
import os
import select
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as distributed

from thunder.backends.torch import machine
from thunder.backends.torch.peers import Peers
from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import material
from thunder.lanes.asr.training import loop
from thunder.training import events
from thunder.training.events import Emit

MODULE = "thunder.lanes.asr.training.rank"
LEASE_GONE = 70


def events_path(folder: Path, rank: int) -> Path:
    """Return the file of a rank's events."""
    return folder / f"events-{rank}.jsonl"


def main(arguments: list[str]) -> int:
    """Train as one rank.

    Args:
        arguments: the file of the order: {"config", "folder", "threads", "timeout_seconds"}.
    """
    path = Path(arguments[0])
    peers = Peers(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    emit = _emitter(events_path(path.parent, peers.rank))
    threading.Thread(target=_watch_lease, daemon=True).start()
    emit({"event": "hello", "pid": os.getpid()})
    try:
        _train(files.read_json(path), peers, emit)
    except ThunderError as error:
        return _fail(emit, str(error), error.cause)
    except OSError as error:
        traceback.print_exc()
        return _fail(emit, f"{error.filename or ''}: {error.strerror or error}", "write")
    except Exception as error:
        traceback.print_exc()
        return _fail(emit, f"rank {peers.rank}: {type(error).__name__}: {error}", "crash")
    emit({"event": "done"})
    return 0


def _train(order: Mapping[str, Any], peers: Peers, emit: Emit) -> None:
    config, folder = order["config"], Path(order["folder"])
    chosen = machine.choose(config, int(os.environ["LOCAL_RANK"]), order["threads"])
    machine.prepare(chosen)
    quiet = _telling(emit, peers)
    found = material.gather(config, folder, quiet)
    on_gpu = chosen.device.type == "cuda"
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        timeout=timedelta(seconds=order["timeout_seconds"]),
        device_id=chosen.device if on_gpu else None,
    )
    with machine.memory():
        loop.train(found, folder, chosen, peers, quiet)
    # Only after a good end: with a peer gone it could wait for ever.
    distributed.destroy_process_group()


def _fail(emit: Emit, message: str, cause: str) -> int:
    emit({"event": "error", "message": message, "cause": cause, "at": time.time()})
    return 1


def _telling(emit: Emit, peers: Peers) -> Emit:
    """Return an emitter that says when training has begun; all ranks but one only beat besides."""
    begun = False

    def tell(event: dict[str, Any]) -> None:
        nonlocal begun
        if event["event"] == "step" and not begun:
            begun = True
            emit({"event": "begun"})
        emit(event if peers.leads else events.beat())

    return tell


def _emitter(path: Path) -> Emit:
    stream = path.open("a", encoding="utf-8")
    lock = threading.Lock()

    def emit(event: dict[str, Any]) -> None:
        with lock:
            stream.write(json.dumps(event, ensure_ascii=False) + "\n")
            stream.flush()

    return emit


def _watch_lease() -> None:
    """End this process when standard input, which the run holds open, is closed."""
    select.select([0], [], [])
    os._exit(LEASE_GONE)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # what libraries tidy up at the end can wait for a peer that is gone
