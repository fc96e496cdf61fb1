"""The process of one rank: `python -m thunder.lanes.adapter.training.rank`.

Its stdin is its lease and its orders: one line with the request, one line `go` when all ranks have
come up, and an end of file when the supervisor is gone. Its stdout carries events, one JSON object
a line.
"""

import errno
import faulthandler
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thunder.ground.errors import ThunderError

CRASHED, TOLD, LEASE_GONE, NO_RING, PEER_LOST = 1, 3, 4, 5, 6
# The supervisor's deadline comes first: it can name the rank that froze, a rank only itself.
GRACE_SECONDS = 5.0
JOIN_SECONDS = 15.0
SMOKE_ROUNDS = 20
AFTER_STEP = {"step", "stepped"}
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}


class Events:
    """The way to the supervisor, and the watchdog that every event re-arms."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        # Whatever a library prints must not be taken for an event.
        os.dup2(2, 1)
        self.seconds = JOIN_SECONDS
        self.stall_seconds = JOIN_SECONDS

    def tell(self, event: str, **values: Any) -> None:
        """Send one event; the next must come within `seconds`."""
        if event in AFTER_STEP:
            # The first step may still compile kernels; from then on each should take its time only.
            self.seconds = self.stall_seconds
        row = {"event": event, "within": self.seconds, **values}
        os.write(self._descriptor, (json.dumps(row) + "\n").encode())
        # A thread in C: it also ends a rank that hangs in a collective.
        faulthandler.dump_traceback_later(self.seconds + GRACE_SECONDS, exit=True)


def main() -> None:
    """Serve one request and leave with an exit code that says how it went."""
    events = Events()
    code = CRASHED
    try:
        _lead_a_group()
        request = json.loads(_line())
        events.seconds = request["start_seconds"]
        events.stall_seconds = request["stall_seconds"]
        _serve(request, events)
        code = 0
    except ThunderError as error:
        events.tell("error", message=str(error), cause=error.cause)
        code = TOLD
    except OSError as error:
        traceback.print_exc()
        cause = "write" if error.errno in UNWRITABLE else "crash"
        events.tell("error", message=str(error), cause=cause)
        code = TOLD
    except Exception as error:
        code = PEER_LOST if "[ring]" in str(error) else CRASHED
        if code == CRASHED:  # who lost its peer is innocent: its trace would hide the cause
            traceback.print_exc()
    finally:
        sys.stderr.flush()
        # The ring's own teardown complains of peers that left first.
        os._exit(code)


def _serve(request: Mapping[str, Any], events: Events) -> None:
    blas_found = _load_blas(Path(request["cache"]))
    events.tell("hello", pid=os.getpid())
    if _line().strip() != "go":
        raise ThunderError("the supervisor said something else than go", "ranks")
    _watch_lease()
    group = _join(request, events) if request["world"] > 1 else None
    result = _work(request, group, blas_found, events)
    events.tell("done", result=result)


def _work(
    request: Mapping[str, Any], group: Any, blas_found: Mapping[str, Any], events: Events
) -> dict[str, Any]:
    if request["mode"] == "smoke":
        return _smoke(group)
    # Imported when the ring stands, for which peers wait only so long.
    from thunder.backends.mlx import lean

    lean.import_mlx_lm()
    from thunder.lanes.adapter.training.window import Window

    window = Window(request, group, blas_found, events.tell)
    # What is loaded stays: no collection need look at it again.
    gc.freeze()
    if request["mode"] == "verify":
        return window.evaluate_checkpoint(request["stop"])
    return window.advance_to(request["stop"])


def _lead_a_group() -> None:
    # The whole group is killed as one; over ssh nobody else has made it.
    if os.getpgrp() != os.getpid():
        os.setsid()


def _line() -> str:
    """Read one line of the orders, byte by byte: what follows belongs to the lease."""
    found = bytearray()
    while not found.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            os._exit(LEASE_GONE)
        found += byte
    return found.decode()


def _watch_lease() -> None:
    """End this group of processes as soon as the supervisor is gone, whatever it is doing."""
    threading.Thread(target=_leave_with_lease, daemon=True).start()
    # Forming a ring holds the interpreter's lock, and a stopped process runs no thread.
    guard = f"cat >/dev/null; kill -s KILL -- -{os.getpid()}"
    subprocess.Popen(["/bin/sh", "-c", guard], stdin=0, stdout=2)


def _leave_with_lease() -> None:
    while os.read(0, 1):
        pass
    os._exit(LEASE_GONE)


def _load_blas(cache: Path) -> dict[str, Any]:
    from thunder.backends.mlx import blas

    os.environ.update(blas.environment())
    return blas.load(cache)


def _join(request: Mapping[str, Any], events: Events) -> Any:
    """Form the ring and make sure that it is this window's alone, or leave with `NO_RING`."""
    begun, events.seconds = events.seconds, JOIN_SECONDS
    events.tell("joining")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as stream:
        json.dump(request["ring"], stream)
        stream.flush()
        os.environ.update(MLX_RANK=str(request["rank"]), MLX_HOSTFILE=stream.name)
        try:
            group = _handshake(request)
        except (RuntimeError, ThunderError) as error:
            print(f"no ring: {error}", file=sys.stderr, flush=True)
            events.tell("no_ring", text=str(error))
            os._exit(NO_RING)
    events.seconds = begun
    events.tell("joined", size=group.size())
    return group


def _handshake(request: Mapping[str, Any]) -> Any:
    import numpy as np

    from thunder.backends.mlx import ring

    group = ring.join()
    if group.size() != request["world"]:
        raise ThunderError(f"the ring has {group.size()} ranks, not {request['world']}", "ranks")
    # Two windows on one port cross-wire in silence: every rank says which window it belongs to.
    token = np.frombuffer(bytes.fromhex(request["token"]), np.uint32)
    tokens = ring.gather(token, group)
    if (tokens != token).any():
        raise ThunderError("a rank of another window answered on this port", "ranks")
    return group


def _smoke(group: Any) -> dict[str, Any]:
    import mlx.core as mx

    from thunder.backends.mlx import ring

    seconds = []
    for _ in range(SMOKE_ROUNDS):
        begun = time.perf_counter()
        total = ring.all_sum(mx.array([float(group.rank() + 1)]), group).item()
        seconds.append(time.perf_counter() - begun)
    latency = sorted(seconds)[SMOKE_ROUNDS // 2]
    return {"size": group.size(), "sum": total, "latency_ms": round(latency * 1000, 3)}


if __name__ == "__main__":
    main()
