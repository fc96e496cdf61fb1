"""What the ranks of an adapter are told to do: a window, a checkpoint to look at, a ring."""

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thunder.ground import folders, run_files
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter import strategy
from thunder.lanes.adapter.training import crew as crews
from thunder.lanes.adapter.training.crew import Crew
from thunder.training import events, placement
from thunder.training.events import Emit
from thunder.training.placement import LinkDown, Slot
from thunder.training.rank import NotMet
from thunder.training.ranks import supervise
from thunder.training.watch import Phrases

TRIES = 3
WORDS = ("-m", "thunder.lanes.adapter.training.rank")
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
    request: Request, emit: Emit, stop: threading.Event | None = None, crew: Crew | None = None
) -> dict[str, Any]:
    """Train a window on all ranks and return {"start", "step", "valid_loss"} as rank 0 saw it.

    Args:
        crew: where the ranks are; on this machine where nothing is said.
    """
    train = request.config["train"]
    world, weights = train["ranks"], train["rank_weights"]
    if len(weights) != world:
        raise ThunderError(f"train.rank_weights has {len(weights)} entries, train.ranks is {world}")
    crew = crew or crews.here(world)
    orders = crew.orders(_order(request, "train"))
    return _supervise(orders, crew.telling(emit), stop, crew.slots)[0]


def evaluate(request: Request, step: int, emit: Emit, crew: Crew | None = None) -> dict[str, Any]:
    """Return what fresh processes find in the checkpoint of a step.

    One where rank 0 is, if it holds the model; else as many as trained it, each at its place.
    """
    train = request.config["train"]
    crew = crew or crews.here(train["ranks"])
    asked = crew if strategy.splits_model(train) else crew.first
    orders = asked.orders({**_order(request, "verify"), "stop": step})
    return _supervise(orders, emit, None, asked.slots)[0]


def ring_smoke(
    world: int, cache: Path, seconds: float = 30.0, crew: Crew | None = None
) -> list[dict[str, Any]]:
    """Form a ring and sum over it; return each rank's {"size", "sum", "latency_ms"}."""
    crew = crew or crews.here(world)
    order = {
        "mode": "smoke",
        "cache": str(cache),
        "start_seconds": seconds,
        "stall_seconds": seconds,
    }
    results = _supervise(crew.orders(order), lambda event: None, None, crew.slots)
    expected = world * (world + 1) / 2
    for rank, result in enumerate(results):
        if result["size"] != world or result["sum"] != expected:
            raise ThunderError(f"rank {rank} of {world} found a ring of {result}", "ranks")
    return results


def _order(request: Request, mode: str) -> dict[str, Any]:
    runtime = request.config["runtime"]
    return {
        **asdict(request),
        "mode": mode,
        "cache": str(Path(runtime["outputs"]) / folders.CACHE),
        "start_seconds": runtime["start_seconds"],
        "stall_seconds": runtime["stall_seconds"],
    }


def _supervise(
    orders: list[dict[str, Any]],
    emit: Emit,
    stop: threading.Event | None,
    slots: Sequence[Slot],
) -> list[dict[str, Any]]:
    """Run the ranks to their end, with new ports if others use the first ones."""
    reason = ""
    starts = [slot.start(WORDS) for slot in slots]
    for attempt in range(1, TRIES + 1):
        ring = {"token": secrets.token_hex(16), "ring": _addresses(slots)}
        try:
            return supervise([{**order, **ring} for order in orders], starts, PHRASES, emit, stop)
        except ThunderError as error:
            _refuse_broken_link(error, slots)
            raise
        except NotMet as error:
            reason = str(error)
            emit(events.note(f"no ring in try {attempt} of {TRIES}: {reason}"))
    raise ThunderError(f"the ranks could not form a ring in {TRIES} tries: {reason}", "ranks")


def _addresses(slots: Sequence[Slot]) -> list[list[str]]:
    """Return free addresses; as another process may still take one, the ranks shake hands."""
    return [[address] for address in placement.addresses(slots)]


def _refuse_broken_link(error: ThunderError, slots: Sequence[Slot]) -> None:
    """Name the link that is down between hosts, if ranks fell for one."""
    if error.cause != "ranks":
        return
    try:
        placement.refuse_broken_link(slots)
    except LinkDown as broken:
        raise ThunderError(f"{error}\n  {broken}", "ranks") from error
    except ThunderError:  # it was named already
        return
