"""The rows of a speech data set: read line by line, checked, sorted by id."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thunder.ground import json_lines
from thunder.ground.errors import ThunderError, of_os_error
from thunder.ground.wording import nearest
from thunder.lanes.asr.data import pair, recordings

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

BILINGUAL = ("nko", "latin")  # columns of every data set of either, in this order
_REST = ("audio", "duration_s", "origin", "cluster", "group", "line")
BATCH_ROWS = 16384
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_NUMBERS = {"duration_s": "float64", "line": "int64"}


@dataclass(frozen=True)
class _Reading:
    """What is known of a file while its lines go by."""

    wanted: dict[str, str]  # what a column is for, to its name in the file
    columns: tuple[str, ...]  # of the rows as they are handed on
    keys: dict[str, None] = field(default_factory=dict)  # every column that was met, in order
    faults: dict[int, str] = field(default_factory=dict)


def load(folder: Path, data: Mapping[str, Any], by: str | None = None) -> "Dataset":
    """Return the rows of a data folder, sorted by id: feat_id, texts by script, and the rest.

    Texts stay byte for byte as they are in the file. `audio` is relative to the folder, and None
    where there is no recording.

    Args:
        data: the section `data` of a config.
        by: `split.by`; a column's name puts that column into `group`.

    Raises:
        Faults: every line that is broken, by its number; ids that are there twice.
    """
    if not pair.is_inside(data["pairs"]):
        raise ThunderError(f"data.pairs is {data['pairs']!r}: {pair.INSIDE}")
    path = folder / data["pairs"]
    reading = _Reading(_wanted(data, by), ("feat_id", *_scripts(data), *_REST))
    table = _table(_batches(path, reading), reading)
    _check_columns(path, reading)
    table = table.take(_order(table))
    faults = {**reading.faults, **_duplicates(table)}
    table, ambiguous = _with_recordings(table, recordings.find(folder))
    faults |= ambiguous
    json_lines.refuse(f"{path}: broken rows: {len(faults)}", json_lines.placed(path.name, faults))
    if not table.num_rows:
        raise ThunderError(f"{path}: no rows", "data")
    return _data_set(table.slice(0, data["take"]).combine_chunks())


def scripts(rows: "Dataset") -> tuple[str, ...]:
    """Return the scripts that rows have a column of text for."""
    named = {*rows.column_names} - {"feat_id", *_REST}
    return BILINGUAL if named <= set(BILINGUAL) else tuple(sorted(named))


def snapshot(rows: "Dataset") -> str:
    """Return the sha256 of rows as `load` gives them: of their ids and texts, nothing else.

    Hashed is one line of JSON a row, `["id","nko text","latin text"]` in UTF-8 without spaces,
    null where a script is absent. Of other scripts a first line, `["feat_id","script",…]`, says
    which; the texts stand in its order.
    """
    sha256 = hashlib.sha256()
    names = ["feat_id", *scripts(rows)]
    if names[1:] != [*BILINGUAL]:
        sha256.update(f"{_ENCODE(names)}\n".encode())
    for batch in rows.select_columns(names).with_format("arrow").iter(BATCH_ROWS):
        columns = [batch[name].to_pylist() for name in names]
        texts = (_ENCODE(list(row)) for row in zip(*columns, strict=True))
        sha256.update("".join(f"{text}\n" for text in texts).encode("utf-8"))
    return sha256.hexdigest()


def _scripts(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the scripts that a data set is read for; each has a column, but of the first two."""
    named = {script for script, column in data["columns"].items() if column}
    if not named:
        raise ThunderError("data.columns: no column has a text; name one for a script")
    return BILINGUAL if named <= set(BILINGUAL) else tuple(sorted(named))


def _wanted(data: Mapping[str, Any], by: str | None) -> dict[str, str]:
    columns = data["columns"]
    texts = {script: columns[script] for script in _scripts(data) if columns.get(script)}
    more = {
        "origin": data["origin"],
        "cluster": data.get("cluster"),
        "group": None if by == "text" else by,
    }
    return {"feat_id": data["id"], **texts, **{what: name for what, name in more.items() if name}}


def _batches(path: Path, reading: _Reading) -> Iterator["pa.RecordBatch"]:
    """Yield the sound rows, some thousands at a time; the faults gather in `reading`."""
    import pyarrow as pa

    rows = _rows(path, reading)
    while batch := list(islice(rows, BATCH_ROWS)):
        yield pa.RecordBatch.from_pylist(batch, schema=_schema(reading))


def _schema(reading: _Reading) -> "pa.Schema":
    import pyarrow as pa

    # large_string: sorting 290,596 texts must not meet the 2 GiB that one column of string holds.
    kinds = {"float64": pa.float64(), "int64": pa.int64()}
    string = pa.large_string()
    return pa.schema([(n, kinds.get(_NUMBERS.get(n, ""), string)) for n in reading.columns])


def _rows(path: Path, reading: _Reading) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as stream:
            for number, raw in json_lines.each(stream, reading.faults):
                reading.keys.update(dict.fromkeys(raw))
                row, fault = pair.of(raw, reading.wanted)
                if fault:
                    reading.faults[number] = fault
                else:
                    yield {**row, "line": number}
    except OSError as error:
        raise ThunderError(_unreadable(path, error), "data") from error


def _unreadable(path: Path, error: OSError) -> str:
    there = sorted(p.name for p in path.parent.glob("*.jsonl")) if path.parent.is_dir() else []
    hint = f"; the folder has {', '.join(there)}: say which by data.pairs=NAME" if there else ""
    return f"{of_os_error(error, path)}{hint}"


def _table(batches: Iterator["pa.RecordBatch"], reading: _Reading) -> "pa.Table":
    import pyarrow as pa

    return pa.Table.from_batches(batches, schema=_schema(reading))


def _check_columns(path: Path, reading: _Reading) -> None:
    """Say once that a column is nowhere, instead of once a line."""
    have = list(reading.keys)
    for column in reading.wanted.values():
        if have and column not in have:
            raise ThunderError(
                f"{path}: no column {column!r}{nearest(column, have)}; "
                f"the columns are {', '.join(map(repr, have))}; name another one in "
                "data.columns, or null where there is none (data.columns.nko=null script=latin); "
                "all of them at once: data.columns={SCRIPT: COLUMN}",
                "data",
            )


def _order(table: "pa.Table") -> "pa.Array":
    import pyarrow.compute as pc

    # Arrow compares bytes of UTF-8, which is the order of Python's `sorted` over text.
    return pc.sort_indices(table, sort_keys=[("feat_id", "ascending"), ("line", "ascending")])


def _duplicates(table: "pa.Table") -> dict[int, str]:
    """Return a fault for every line of a sorted table whose id an earlier line has."""
    import pyarrow.compute as pc

    ids = table["feat_id"].combine_chunks()
    again = pc.indices_nonzero(pc.equal(ids[1:], ids[:-1])).to_pylist()
    faults: dict[int, str] = {}
    first = -1
    for index in again:
        first = first if first >= 0 and ids[index] == ids[first] else index
        line = table["line"][index + 1].as_py()
        earlier = table["line"][first].as_py()
        faults[line] = f"the id {ids[index].as_py()!r} again; line {earlier} has it already"
    return faults


def _with_recordings(
    table: "pa.Table", listed: recordings.Recordings
) -> tuple["pa.Table", dict[int, str]]:
    """Return the table with a recording for every id that has one, and the ids that have two."""
    import pyarrow as pa

    ids, numbers = table["feat_id"].to_pylist(), table["line"].to_pylist()
    named = table["audio"].to_pylist()
    audio = [name or listed.of(id) for name, id in zip(named, ids, strict=True)]
    faults = {
        line: f"{id!r} has more than one recording: {' and '.join(rivals)}"
        for line, id, name in zip(numbers, ids, named, strict=True)
        if name is None and (rivals := listed.rivals(id))
    }
    at = table.column_names.index("audio")
    return table.set_column(at, "audio", pa.array(audio, pa.large_string())), faults


def _data_set(table: "pa.Table") -> "Dataset":
    """Return a data set held in memory; nothing is written to a cache."""
    from datasets import Dataset  # takes a second to import

    return Dataset(table)
