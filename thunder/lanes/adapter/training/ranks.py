"""What the ranks of an adapter are told to do: a window, a checkpoint to look at, a ring."""

import secrets
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thunder.ground import folders, run_files
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter import strategy
from thunder.training import events
from thunder.training.events import Emit
from thunder.training.rank import NotMet
from thunder.training.ranks import supervise
from thunder.training.watch import Phrases

LOCAL = "127.0.0.1"
TRIES = 3
COMMAND = (sys.executable, "-m", "thunder.lanes.adapter.training.rank")
AGAIN = "run again to go on from the last checkpoint"
PHRASES = Phrases(
    again=AGAIN,
    death="",
    silence="no sign of life from ranks {silent} for {seconds} s: a link is down or a process "
    f"hangs; look at {run_files.LOG}, then {AGAIN}",
    suspended="{named} is stopped (suspended from outside)",
)


@dataclass(frozen=True)
class Request:
    """All that the ranks of a window need to know.

    Args:
        config: the whole checked config of the job.
        folder: the run folder.
        run_id: the id of the run, for its checkpoints.
        stop: the absolute step at which the window ends.
        model_folder: where the model lies.
        tokens: the folder that `tokens.prepare` wrote.
        inputs: the digests of model and data.
        stand_in: whether either of them only stands in for the real one.
    """

    config: Mapping[str, Any]
    folder: str
    run_id: str
    stop: int
    model_folder: str
    tokens: str
    inputs: Mapping[str, str]
    stand_in: bool


def train_window(
    request: Request, emit: Emit, stop: threading.Event | None = None
) -> dict[str, Any]:
    """Train a window on all ranks and return {"start", "step", "valid_loss"} as rank 0 saw it."""
    train = request.config["train"]
    world, weights = train["ranks"], train["rank_weights"]
    if len(weights) != world:
        raise ThunderError(f"train.rank_weights has {len(weights)} entries, train.ranks is {world}")
    return _supervise(_orders(request, "train", world), emit, stop)[0]


def evaluate(request: Request, step: int, emit: Emit) -> dict[str, Any]:
    """Return what fresh processes find in the checkpoint of a step: one, if it holds the model."""
    train = request.config["train"]
    orders = _orders(request, "verify", train["ranks"] if strategy.splits_model(train) else 1)
    return _supervise([{**order, "stop": step} for order in orders], emit, None)[0]


def ring_smoke(world: int, cache: Path, seconds: float = 30.0) -> list[dict[str, Any]]:
    """Form a ring and sum over it; return each rank's {"size", "sum", "latency_ms"}."""
    order = {
        "mode": "smoke",
        "world": world,
        "cache": str(cache),
        "start_seconds": seconds,
        "stall_seconds": seconds,
    }
    orders = [{**order, "rank": rank} for rank in range(world)]
    results = _supervise(orders, lambda event: None, None)
    expected = world * (world + 1) / 2
    for rank, result in enumerate(results):
        if result["size"] != world or result["sum"] != expected:
            raise ThunderError(f"rank {rank} of {world} found a ring of {result}", "ranks")
    return results


def _orders(request: Request, mode: str, world: int) -> list[dict[str, Any]]:
    runtime = request.config["runtime"]
    order = {
        **asdict(request),
        "mode": mode,
        "world": world,
        "cache": str(Path(runtime["outputs"]) / folders.CACHE),
        "start_seconds": runtime["start_seconds"],
        "stall_seconds": runtime["stall_seconds"],
    }
    return [{**order, "rank": rank} for rank in range(world)]


def _supervise(
    orders: list[dict[str, Any]], emit: Emit, stop: threading.Event | None
) -> list[dict[str, Any]]:
    """Run the ranks to their end, with new ports if others use the first ones."""
    reason = ""
    for attempt in range(1, TRIES + 1):
        ring = {"token": secrets.token_hex(16), "ring": _addresses(len(orders))}
        try:
            return supervise([{**order, **ring} for order in orders], COMMAND, PHRASES, emit, stop)
        except NotMet as error:
            reason = str(error)
            emit(events.note(f"no ring in try {attempt} of {TRIES}: {reason}"))
    raise ThunderError(f"the ranks could not form a ring in {TRIES} tries: {reason}", "ranks")


def _addresses(world: int) -> list[list[str]]:
    """Return free addresses; as another process may still take one, the ranks shake hands."""
    sockets = [socket.socket() for _ in range(world)]
    try:
        for endpoint in sockets:
            endpoint.bind((LOCAL, 0))
        return [[f"{LOCAL}:{endpoint.getsockname()[1]}"] for endpoint in sockets]
    finally:
        for endpoint in sockets:
            endpoint.close()
