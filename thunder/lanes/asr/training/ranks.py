"""What the ranks of an ASR run are told to do: train, each with its share of the rows."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thunder.training.events import Emit
from thunder.training.rank_process import Start
from thunder.training.ranks import supervise
from thunder.training.watch import Phrases

COMMAND = (sys.executable, "-m", "thunder.lanes.asr.training.rank")
# A peer that hangs is named by the supervisor, so the ranks' own patience must be longer.
TIMEOUT_FACTOR = 2
AGAIN = "run again to go on from the last epoch"
SILENT = "no sign of life from ranks {silent} for {seconds} s"
PHRASES = Phrases(
    again=AGAIN,
    death=f"; {AGAIN}",
    silence=f"{SILENT}: a process or a link hangs; {AGAIN}",
    suspended=f"{SILENT}: rank {{number}} is suspended; {AGAIN}",
)


def train(config: Mapping[str, Any], folder: Path, threads: int | None, emit: Emit) -> None:
    """Train on `train.ranks` processes of this host until last.pt says that training is over.

    Raises:
        ThunderError: what a rank said, or, with the cause `ranks`, that one died or hangs.
    """
    runtime, world = config["runtime"], config["train"]["ranks"]
    order = {
        "config": dict(config),
        "folder": str(folder),
        "threads": threads,
        "world": world,
        "start_seconds": runtime["start_seconds"],
        "stall_seconds": runtime["stall_seconds"],
        "timeout_seconds": TIMEOUT_FACTOR * runtime["stall_seconds"],
    }
    orders = [{**order, "rank": rank} for rank in range(world)]
    supervise(orders, [Start(COMMAND)] * world, PHRASES, emit)
