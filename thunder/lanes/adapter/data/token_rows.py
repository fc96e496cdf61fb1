"""Rows of tokens, flat: what the ranks read of a split, and the file that holds it."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thunder.ground import files


@dataclass(frozen=True)
class Rows:
    """Token rows of one split, flat.

    Args:
        ids: all tokens, row after row.
        offsets: where each row begins in `ids`, and the end.
        starts: the first supervised token within each row; all tokens after it are supervised.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    starts: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Return the number of tokens in each row."""
        return np.diff(self.offsets)

    @property
    def supervised(self) -> NDArray[np.int64]:
        """Return the number of supervised tokens in each row."""
        return self.lengths - self.starts

    def row(self, number: int) -> NDArray[np.int32]:
        """Return the tokens of one row."""
        return self.ids[self.offsets[number] : self.offsets[number + 1]]

    def first(self, count: int) -> "Rows":
        """Return the first rows only."""
        count = min(count, len(self))
        end = self.offsets[count]
        return Rows(self.ids[:end], self.offsets[: count + 1], self.starts[:count])


def pack(rows: Iterable[tuple[Sequence[int], int]]) -> Rows:
    """Return rows of (tokens, first supervised token) as one flat structure."""
    kept = list(rows)
    ids = [token for tokens, _ in kept for token in tokens]
    offsets = np.cumsum([0, *(len(tokens) for tokens, _ in kept)], dtype=np.int64)
    starts = np.array([start for _, start in kept], np.int32)
    return Rows(np.array(ids, np.int32), offsets, starts)


def load(path: Path) -> Rows:
    """Read the token rows of one split."""
    with np.load(path) as stored:
        return Rows(stored["ids"], stored["offsets"], stored["starts"])


def save(path: Path, rows: Rows) -> None:
    """Write the token rows of one split."""
    stream = io.BytesIO()
    np.savez(stream, ids=rows.ids, offsets=rows.offsets, starts=rows.starts)
    files.write_bytes(path, stream.getvalue())
