"""A feature store in the making: shards that appear whole, each with its part of the index."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from thunder.ground import digest, files, owned, schema

# Of the data set, rejected ones among them: which row is in which shard is known before.
ROWS = 1024
FOLDER = "shards"


@dataclass(frozen=True)
class Making:
    """What all shards of a store have in common.

    Args:
        encoder: {"name", "digest"}.
        snapshot: digest of the rows.
        source: digest of the data's source, audio among it.
        limit_seconds: the longest utterance.
        versions: of the libraries that made the frames.
    """

    layout: str
    dims: int
    encoder: Mapping[str, str]
    snapshot: str
    source: str
    limit_seconds: float
    versions: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Return the mark by which a later attempt knows shards that it may keep."""
        return digest.of_value(
            {
                "layout": self.layout,
                "dims": self.dims,
                "encoder": dict(self.encoder),
                "snapshot": self.snapshot,
                "source": self.source,
                "limit_seconds": float(self.limit_seconds),
                "versions": dict(self.versions),
                "rows_of_a_shard": ROWS,
            }
        )


class Writer:
    """Writes one shard; when the block ends well, the shard and its part of the index are there.

    Args:
        number: of the shard.
    """

    def __init__(self, folder: Path, number: int, making: Making) -> None:
        self._folder, self._number, self._making = folder, number, making
        self._beside = folder / FOLDER / f".{name_of(number)}{files.UNFINISHED}"
        self._sha256 = hashlib.sha256()
        self.index: list[dict[str, Any]] = []
        self.rejected: list[dict[str, Any]] = []
        self.frames = 0
        self._counts = {"cut": 0, "padded": 0}

    def __enter__(self) -> "Writer":
        owned.check()
        self._beside.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._beside.open("wb")
        files.hold(self._stream.fileno())
        return self

    def add(
        self,
        feat_id: str,
        frames: np.ndarray,
        duration_s: float,
        *,
        is_cut: bool = False,
        is_padded: bool = False,
    ) -> None:
        """Add the frames (n, dims) of one utterance; ids come sorted."""
        data = np.ascontiguousarray(frames, dtype="<f2").tobytes()
        row = {
            "feat_id": feat_id,
            "shard": self._number,
            "offset": self.frames,
            "n_frames": len(frames),
            "duration_s": round(float(duration_s), 6),
        }
        schema.check("features_index_row", row, feat_id, cause="crash")
        with files.naming(self._beside):
            self._stream.write(data)
        self._sha256.update(data)
        self.index.append(row)
        self.frames += len(frames)
        self._counts["cut"] += is_cut
        self._counts["padded"] += is_padded

    def reject(self, feat_id: str, line: int, reason: str) -> None:
        """Name a row that has no frames, and why."""
        row = {"feat_id": feat_id, "line": line, "reason": reason}
        schema.check("features_rejected_row", row, feat_id, cause="crash")
        self.rejected.append(row)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with files.naming(self._beside):
            try:
                if kind is None:
                    self._finish()
            finally:
                self._beside.unlink(missing_ok=True)
                self._stream.close()

    def _finish(self) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        os.replace(self._beside, self._folder / FOLDER / name_of(self._number))
        # Last: a shard counts from here on.
        files.write_json(part_path(self._folder, self._number), self._part())

    def _part(self) -> dict[str, Any]:
        return {
            "made_from": self._making.digest,
            "shard": {
                "name": name_of(self._number),
                "rows": len(self.index),
                "frames": self.frames,
                "sha256": self._sha256.hexdigest(),
            },
            **self._counts,
            "index": self.index,
            "rejected": self.rejected,
        }


def name_of(number: int) -> str:
    """Return the file name of a shard."""
    return f"{number:05d}.f16"


def part_path(folder: Path, number: int) -> Path:
    """Return where the part of the index that belongs to a shard lies until all are there."""
    return folder / FOLDER / f"{number:05d}.json"


def part(folder: Path, number: int) -> Any:
    """Read what is known of a finished shard."""
    return files.read_json(part_path(folder, number))


def parts(folder: Path, making: Making) -> Iterator[Any]:
    """Yield the parts of the finished shards, up to the first that is missing or made otherwise."""
    number = 0
    while (finished := _part(folder, number, making)) is not None:
        yield finished
        number += 1


def _part(folder: Path, number: int, making: Making) -> Any:
    try:
        finished = part(folder, number)
        size = (folder / FOLDER / name_of(number)).stat().st_size
    except (FileNotFoundError, ValueError):
        return None
    is_whole = size == finished["shard"]["frames"] * making.dims * 2
    return finished if is_whole and finished["made_from"] == making.digest else None
