"""The shards of a run become a store: index, list of rejected rows, and the manifest, last."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from thunder.ground import files, schema
from thunder.lanes.asr.features import layouts, shards
from thunder.lanes.asr.features.shards import Making
from thunder.lanes.asr.features.store import (
    FINGERPRINT_ROWS,
    INDEX,
    MANIFEST,
    REJECTED,
    fingerprint,
    spaced,
)


def publish(folder: Path, making: Making, count: int, beat: Callable[[], None]) -> dict[str, Any]:
    """Write index.jsonl, rejected.jsonl and, last, the manifest; return the manifest.

    Args:
        count: of shards.
        beat: called after every shard.
    """
    summaries = [_summary(folder, number, beat) for number in range(count)]
    rows = sum(part["shard"]["rows"] for part in summaries)
    gathered = _Gathered(making, set(spaced(rows, FINGERPRINT_ROWS)))
    index_sha256 = _stream(folder / INDEX, gathered.index(_parts(folder, count, beat)))
    manifest = {
        "layout": making.layout,
        "dims": making.dims,
        "rate_hz": layouts.named(making.layout).rate_hz,
        "dtype": "float16",
        "encoder": dict(making.encoder),
        "snapshot_sha256": making.snapshot,
        "made_from": making.digest,
        "rows": rows,
        "frames": sum(part["shard"]["frames"] for part in summaries),
        "seconds": round(gathered.kept_seconds, 3),
        "audio": {
            "seconds": round(gathered.seconds, 3),
            "longest_seconds": gathered.longest,
            "limit_seconds": making.limit_seconds,
        },
        **{name: sum(part[name] for part in summaries) for name in ("rejected", "cut", "padded")},
        "fingerprint": fingerprint(folder, gathered.chosen, making.dims),
        "shards": [part["shard"] for part in summaries],
        "index_sha256": index_sha256,
        "rejected_sha256": write_rejected(folder, count, beat),
        "versions": dict(making.versions),
    }
    schema.check("features_manifest", manifest, str(folder / MANIFEST), cause="crash")
    files.write_json(folder / MANIFEST, manifest)
    return manifest


def write_rejected(folder: Path, count: int, beat: Callable[[], None]) -> str:
    """Write rejected.jsonl of the shards there are; return its digest."""
    rows = (row for part in _parts(folder, count, beat) for row in part["rejected"])
    return _stream(folder / REJECTED, rows)


def tidy(folder: Path) -> None:
    """Remove what only an unfinished store needs."""
    for path in sorted((folder / shards.FOLDER).glob("*.json")):
        path.unlink()


class _Gathered:
    """What is learnt from the rows of the index while they pass by."""

    def __init__(self, making: Making, wanted: set[int]) -> None:
        self._rate_hz = layouts.named(making.layout).rate_hz
        self._wanted = wanted
        self.chosen: list[dict[str, Any]] = []
        self.seconds = self.kept_seconds = self.longest = 0.0

    def index(self, parts: Iterable[Any]) -> Iterator[dict[str, Any]]:
        """Yield the rows of all parts."""
        for number, row in enumerate(row for part in parts for row in part["index"]):
            duration_s = row["duration_s"]
            self.seconds += duration_s
            self.kept_seconds += min(duration_s, row["n_frames"] / self._rate_hz)
            self.longest = max(self.longest, duration_s)
            if number in self._wanted:
                self.chosen.append(row)
            yield row


def _summary(folder: Path, number: int, beat: Callable[[], None]) -> dict[str, Any]:
    beat()
    part = shards.part(folder, number)
    counts = {"rejected": len(part["rejected"]), "cut": part["cut"], "padded": part["padded"]}
    return {"shard": part["shard"], **counts}


def _parts(folder: Path, count: int, beat: Callable[[], None]) -> Iterator[Any]:
    for number in range(count):
        beat()
        yield shards.part(folder, number)


def _stream(path: Path, rows: Iterable[dict[str, Any]]) -> str:
    """Replace a JSON Lines file without holding all of it; return its digest."""
    hasher = hashlib.sha256()
    with files.replacing(path) as stream:
        for row in rows:
            line = files.render_jsonl([row]).encode("utf-8")
            stream.write(line)
            hasher.update(line)
    return hasher.hexdigest()
