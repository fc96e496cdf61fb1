"""One attempt at a feature store: what it works on, and where."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.lanes.asr.features import shards
from thunder.lanes.asr.features.shards import Making
from thunder.training.events import Emit


@dataclass(frozen=True)
class Task:
    """One attempt at a run.

    Args:
        rows: the data set, sorted by id.
        most_rejected: rows without frames that are still allowed.
    """

    folder: Path
    rows: Any
    making: Making
    most_rejected: int
    stall_seconds: float
    emit: Emit

    @property
    def shards(self) -> int:
        """Return how many shards the rows fill."""
        return -(-len(self.rows) // shards.ROWS)

    def size(self, number: int) -> int:
        """Return the rows of a shard."""
        return min(shards.ROWS, len(self.rows) - number * shards.ROWS)
