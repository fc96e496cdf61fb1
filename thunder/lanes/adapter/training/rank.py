"""The process of one rank: `python -m thunder.lanes.adapter.training.rank`.

How it hears and tells is in `thunder/training/rank.py`; here is what it does: a ring, a window.
"""

import gc
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thunder.ground import files
from thunder.ground.errors import ThunderError, reason_of
from thunder.training import rank
from thunder.training.rank import Channel, NotMet, PeerLost

JOIN_SECONDS = 15.0
SMOKE_ROUNDS = 20


def main() -> None:
    """Serve one request."""
    rank.run(_serve)


def _serve(request: Mapping[str, Any], channel: Channel) -> dict[str, Any]:
    if "lock" in request and request["rank"] == 0:
        rank.own(request["lock"])
    library = _load_blas(Path(request["cache"]))
    rank.greet(channel)
    try:
        group = _join(request, channel) if request["world"] > 1 else None
        return _work(request, group, library, channel)
    except RuntimeError as error:
        if "[ring]" in str(error):
            raise PeerLost from error
        raise


def _work(
    request: Mapping[str, Any], group: Any, library: Mapping[str, Any], channel: Channel
) -> dict[str, Any]:
    if request["mode"] == "smoke":
        return _smoke(group)
    # Imported when the ring stands, for which peers wait only so long.
    from thunder.backends.mlx import lean

    lean.import_mlx_lm()
    from thunder.lanes.adapter.training.window import Window

    window = Window(request, group, library, channel.tell)
    # What is loaded stays: no collection need look at it again.
    gc.freeze()
    if request["mode"] == "verify":
        return window.evaluate_checkpoint(request["stop"])
    return window.advance_to(request["stop"])


def _load_blas(cache: Path) -> dict[str, Any]:
    from thunder.backends.mlx import blas

    os.environ.update(blas.environment())
    return blas.load(cache)


def _join(request: Mapping[str, Any], channel: Channel) -> Any:
    """Form the ring and make sure that it is this window's alone, or say that it is not."""
    begun, channel.seconds = channel.seconds, JOIN_SECONDS
    channel.tell("joining")
    with _host_file(request["ring"]) as path:
        os.environ.update(MLX_RANK=str(request["rank"]), MLX_HOSTFILE=path)
        try:
            group = _handshake(request)
        except (RuntimeError, ThunderError) as error:
            raise NotMet(str(error)) from error
    channel.seconds = begun
    channel.tell("joined", size=group.size())
    return group


@contextmanager
def _host_file(addresses: list[list[str]]) -> Iterator[str]:
    """Yield the path of a file with the addresses of all ranks, which is gone afterwards."""
    try:
        place = tempfile.gettempdir()
    except FileNotFoundError as error:  # each was tried by a write: a full disk ends here too
        reason = f"{reason_of(error)}; make room in one, or name another by TMPDIR"
        raise ThunderError(reason, "write") from error
    with tempfile.TemporaryDirectory(dir=place) as folder:
        path = Path(folder, "hosts.json")
        files.write_text(path, json.dumps(addresses))
        yield str(path)


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
