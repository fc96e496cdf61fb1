"""Frames of all utterances in one folder, opened only when they are what the manifest says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from thunder.ground import digest, files, schema
from thunder.ground.errors import Faults, ThunderError
from thunder.ground.json_lines import MOST_SHOWN
from thunder.ground.wording import some_lines
from thunder.lanes.asr.features import layouts
from thunder.lanes.asr.features.shards import FOLDER, name_of

MANIFEST = "features_manifest.json"
INDEX = "index.jsonl"
REJECTED = "rejected.jsonl"
FINGERPRINT_ROWS = 16
MOST_OPEN = 256  # mapped shards; each holds a file descriptor


@dataclass(frozen=True)
class Store:
    """The frames of a data set; rows in the order of their ids.

    Args:
        index: the row of an id.
        lengths: int32 (rows,), frames.
        durations: float32 (rows,), true seconds.
        digest: of the manifest.
    """

    folder: Path
    manifest: Mapping[str, Any]
    digest: str
    ids: Sequence[str]
    index: Mapping[str, int]
    lengths: np.ndarray
    durations: np.ndarray
    _shards: np.ndarray
    _offsets: np.ndarray
    _open: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def layout(self) -> str:
        """Return the name of the layout."""
        return str(self.manifest["layout"])

    @property
    def dims(self) -> int:
        """Return the width of a frame."""
        return int(self.manifest["dims"])

    @property
    def rate_hz(self) -> float:
        """Return the frames per second."""
        return float(self.manifest["rate_hz"])

    def frames(self, row: int) -> np.ndarray:
        """Return the frames of a row, float16 (n, dims), read-only and still on disk."""
        number, offset = int(self._shards[row]), int(self._offsets[row])
        if number not in self._open:
            if len(self._open) >= MOST_OPEN:
                self._open.pop(next(iter(self._open)))
            self._open[number] = _mapped(self.folder, number, self.dims)
        return self._open[number][offset : offset + int(self.lengths[row])]


def open_store(folder: Path) -> Store:
    """Open the folder of an `asr_features` run.

    Raises:
        ThunderError: no store, an unfinished one, or one that is not as its manifest says.
    """
    manifest = _manifest(folder)
    _check_shards(folder, manifest)
    rows = _index(folder, manifest)
    _check_fingerprint(folder, manifest, rows)
    ids = [row["feat_id"] for row in rows]
    return Store(
        folder=folder,
        manifest=manifest,
        digest=digest.of_value(manifest),
        ids=ids,
        index={name: number for number, name in enumerate(ids)},
        lengths=np.array([row["n_frames"] for row in rows], dtype=np.int32),
        durations=np.array([row["duration_s"] for row in rows], dtype=np.float32),
        _shards=np.array([row["shard"] for row in rows], dtype=np.int32),
        _offsets=np.array([row["offset"] for row in rows], dtype=np.int64),
    )


def fingerprint(folder: Path, rows: Sequence[Mapping[str, Any]], dims: int) -> list[dict[str, str]]:
    """Return the ids and digests of the frames of some rows of the index."""
    digests = []
    for row in rows:
        start, count = row["offset"], row["n_frames"]
        data = _mapped(folder, row["shard"], dims)[start : start + count].tobytes()
        digests.append({"feat_id": row["feat_id"], "sha256": digest.of_bytes(data)})
    return digests


def spaced(count: int, most: int) -> list[int]:
    """Return so many numbers below `count`, evenly spaced from the first to the last."""
    if count <= most:
        return list(range(count))
    return [place * (count - 1) // (most - 1) for place in range(most)]


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise ThunderError(
            f"{folder}: no {MANIFEST}: not the folder of a finished asr_features run", "data"
        )
    manifest = schema.read("features_manifest", path)
    rate_hz = layouts.named(manifest["layout"]).rate_hz
    if manifest["rate_hz"] != rate_hz:
        raise ThunderError(
            f"{path}: layout {manifest['layout']!r} has {rate_hz:g} frames a second, the manifest "
            f"says {manifest['rate_hz']:g}",
            "data",
        )
    return dict(manifest)


def _check_shards(folder: Path, manifest: Mapping[str, Any]) -> None:
    faults = []
    for shard in manifest["shards"]:
        path = folder / FOLDER / shard["name"]
        expected = shard["frames"] * manifest["dims"] * 2
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            faults.append(f"{FOLDER}/{shard['name']}: missing")
        elif size != expected:
            faults.append(f"{FOLDER}/{shard['name']}: {size} bytes, the manifest has {expected}")
    if faults:
        shown = some_lines(faults, MOST_SHOWN)
        raise Faults(f"{folder}: not the features that were made:", shown, "data")


def _index(folder: Path, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    path = folder / INDEX
    data = path.read_bytes() if path.is_file() else b""
    if digest.of_bytes(data) != manifest["index_sha256"]:
        raise ThunderError(f"{path}: missing, or not the index that was made", "data")
    try:
        return [files.parse_json(line) for line in data.splitlines()]
    except ValueError as error:
        raise ThunderError(f"{path}: not JSON: {error}", "data") from error


def _check_fingerprint(
    folder: Path, manifest: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> None:
    chosen = [rows[place] for place in spaced(len(rows), FINGERPRINT_ROWS)]
    current = fingerprint(folder, chosen, manifest["dims"])
    faults = [
        f"{FOLDER}/{_shard_name(manifest, row)}: frames of {row['feat_id']!r} differ"
        for row, now, then in zip(chosen, current, manifest["fingerprint"], strict=True)
        if now != then
    ]
    if faults:
        raise Faults(f"{folder}: not the features that were made:", faults, "data")


def _shard_name(manifest: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    return str(manifest["shards"][row["shard"]]["name"])


def _mapped(folder: Path, number: int, dims: int) -> np.ndarray:
    """Map a shard (frames, dims) into memory."""
    path = folder / FOLDER / name_of(number)
    if not path.stat().st_size:  # all of its rows were rejected
        return np.empty((0, dims), dtype="<f2")
    return np.asarray(np.memmap(path, dtype="<f2", mode="r")).reshape(-1, dims)
