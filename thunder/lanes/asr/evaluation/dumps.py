"""Rows of a split on disk: sorted by id, checked one by one, never all in memory."""

import json
import os
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from thunder.ground import files, owned, schema
from thunder.ground.errors import ThunderError

TEXTS = ("asr_text", "reference_text", "reference_norm")


def write(path: Path, name: str, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as JSON Lines, each checked against schemas/<name>.json; returns how many.

    The file appears whole or not at all.

    Raises:
        ThunderError: a row breaks its schema, is not NFC, or does not come after the one before.
    """
    count, last = 0, ""
    with files.replacing(path) as stream:
        for row in rows:
            _check(row, last, name, path)
            stream.write(files.render_jsonl([row]).encode())
            count, last = count + 1, row["feat_id"]
    return count


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a dump that `write` wrote."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield files.parse_json(line)


@contextmanager
def spooling(folder: Path) -> Iterator["Spool"]:
    """Yield an empty spool, whose file has no name and is gone with it."""
    owned.check()
    folder.mkdir(parents=True, exist_ok=True)
    with files.naming(folder), tempfile.TemporaryFile(dir=folder) as stream:
        yield Spool(stream)


class Spool:
    """Rows in the order in which batches give them, read back in the order of their ids."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._places: dict[str, tuple[int, int]] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Put a row at the end.

        Raises:
            ThunderError: a row of the same id is there.
        """
        if row["feat_id"] in self._places:
            raise ThunderError(f"{row['feat_id']} was evaluated twice in one pass", "crash")
        data = json.dumps(row, allow_nan=False).encode()
        self._places[row["feat_id"]] = (self._stream.seek(0, os.SEEK_END), len(data))
        self._stream.write(data)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for feat_id in sorted(self._places):
            start, length = self._places[feat_id]
            self._stream.seek(start)
            yield files.parse_json(self._stream.read(length))


def _check(row: Mapping[str, Any], last: str, name: str, path: Path) -> None:
    place = f"{path.name}, row {row.get('feat_id')!r},"
    schema.check(name, row, place, cause="crash")
    if row["feat_id"] <= last:
        raise ThunderError(f"{place} comes after {last!r}: rows are sorted by feat_id", "crash")
    for key in TEXTS:
        if key in row and not unicodedata.is_normalized("NFC", row[key]):
            raise ThunderError(f"{place} {key}: not in NFC", "crash")
