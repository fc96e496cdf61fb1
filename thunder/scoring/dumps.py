"""The two dumps of a run, predictions and references, as rows that belong together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thunder.ground import json_lines
from thunder.ground.errors import ThunderError, of_os_error
from thunder.language import spelling

# What a row must have, and what it may have; other keys are left alone.
PREDICTION = {"feat_id": "text", "script": "text", "asr_text": "text"}
REFERENCE = {"feat_id": "text", "script": "text", "reference_text": "text"}
# What is said of a whole dump, when all its rows say the same.
LABELS = ("model_run_id", "mode", "split", "adapted", "bridge_version")
_PREDICTION_MAY = ("partition", "reference_text", "normaliser", *LABELS)
_REFERENCE_MAY = ("origin", "cluster", "text_disjoint", "normaliser")
_KINDS = {"text_disjoint": "true or false"}  # of what may be there, all else is text

Numbered = Iterable[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True)
class Dump:
    """Rows of one script in order of their ids; None where a row does not say."""

    ids: list[str]
    script: str
    form: spelling.Script  # how its texts are compared
    references: list[str]
    hypotheses: list[str]
    partitions: list[str | None]
    origins: list[str | None]
    clusters: list[str] | None  # rows of one are not independent; None: all rows are
    text_disjoint: npt.NDArray[np.bool_] | None  # (rows,): whose text train does not have
    labels: dict[str, str | None]


@dataclass(frozen=True)
class _Side:
    """One of the two files: its rows by id, with their lines, and what is wrong with it."""

    name: str
    rows: dict[str, tuple[int, Mapping[str, Any]]]
    faults: dict[int, str]


def read(predictions: Path, references: Path) -> Dump:
    """Read a dump from its two JSON Lines files, joined by `feat_id`.

    Raises:
        Faults: broken lines, ids that are there twice or in one file alone, texts or scripts that
            contradict each other: each with file and line; or a file without rows.
    """
    left = _read(predictions, PREDICTION, _PREDICTION_MAY)
    right = _read(references, REFERENCE, _REFERENCE_MAY)
    return _joined(left, right)


def _read(path: Path, must: Mapping[str, str], may: tuple[str, ...]) -> _Side:
    faults: dict[int, str] = {}
    try:
        with path.open("rb") as stream:
            # One at a time: a dump with its telemetry is large.
            return _side(str(path), json_lines.each(stream, faults), faults, must, may)
    except OSError as error:
        raise ThunderError(of_os_error(error, path), "data") from error


def _side(
    name: str, rows: Numbered, faults: dict[int, str], must: Mapping[str, str], may: tuple[str, ...]
) -> _Side:
    by_id: dict[str, tuple[int, Mapping[str, Any]]] = {}
    for number, row in rows:
        if wrong := _wrong(row, must, may):
            faults[number] = wrong
        elif row["feat_id"] in by_id:
            faults[number] = f"feat_id {row['feat_id']!r} is on line {by_id[row['feat_id']][0]} too"
        else:
            kept = {key: row.get(key) for key in (*must, *may)}
            by_id[row["feat_id"]] = (number, kept)
    return _Side(name, by_id, faults)


def _wrong(row: Mapping[str, Any], must: Mapping[str, str], may: tuple[str, ...]) -> str | None:
    if must is REFERENCE and "asr_text" in row:
        return "a row of predictions (it has asr_text), where references are due"
    missing = [key for key in must if key not in row]
    if missing:
        return f"no {', '.join(missing)}"
    for key, kind in must.items():
        if json_lines.kind(row[key]) != kind:
            return f"{key!r} must be {kind}, is {json_lines.kind(row[key])}"
    for key in may:
        value, kind = row.get(key), _KINDS.get(key, "text")
        if value is not None and json_lines.kind(value) != kind:
            return f"{key!r} must be {kind} or null, is {json_lines.kind(value)}"
    return None


def _joined(left: _Side, right: _Side) -> Dump:
    faults = json_lines.placed(left.name, left.faults) + json_lines.placed(right.name, right.faults)
    faults += [f"{side.name}: no rows" for side in (left, right) if not side.rows and not faults]
    if not faults and not left.rows.keys() & right.rows.keys():
        faults = ["no feat_id is in both: are they dumps of one split?"]
    if not faults:
        faults = _alone(left, right) + _alone(right, left)
    if not faults:
        faults = _contradictions(left, right)
    json_lines.refuse(f"{left.name} and {right.name} are not one dump: {_count(faults)}", faults)
    ids = sorted(left.rows)
    first, second = ([side.rows[name][1] for name in ids] for side in (left, right))
    marks = [row["text_disjoint"] for row in second]
    clusters = [row["cluster"] for row in second]
    is_marked = any(mark is not None for mark in marks)
    return Dump(
        ids=ids,
        script=second[0]["script"],
        form=_form(second[0]),
        references=[row["reference_text"] for row in second],
        hypotheses=[row["asr_text"] for row in first],
        partitions=[row["partition"] for row in first],
        origins=[row["origin"] for row in second],
        clusters=clusters if clusters[0] is not None else None,
        text_disjoint=np.array([mark is True for mark in marks]) if is_marked else None,
        labels={label: _agreed(row[label] for row in first) for label in LABELS},
    )


def _alone(side: _Side, other: _Side) -> list[str]:
    return [
        f"{side.name}:{number}: feat_id {name!r} is not in {other.name}"
        for name, (number, _) in side.rows.items()
        if name not in other.rows
    ]


def _contradictions(left: _Side, right: _Side) -> list[str]:
    first = next(iter(right.rows.values()))[1]
    try:
        _form(first)
    except ThunderError as error:
        return [f"{right.name}: {error}; rows of another script say their normaliser"]
    faults = _without_cluster(right)
    for side in (left, right):
        for number, row in side.rows.values():
            for key in ("script", "normaliser"):
                # Predictions need not say what the references say of the script's normaliser.
                if row[key] != first[key] and (row[key] is not None or side is right):
                    faults.append(f"{side.name}:{number}: {key} {row[key]!r}, not {first[key]!r}")
    for name, (number, row) in left.rows.items():
        if row["reference_text"] not in (None, right.rows[name][1]["reference_text"]):
            faults.append(
                f"{left.name}:{number}: reference_text is not that of {right.name}"
                " (leave it out to score against other references)"
            )
    return faults


def _without_cluster(references: _Side) -> list[str]:
    rows = references.rows.values()
    if all(row["cluster"] is None for _, row in rows):
        return []
    return [
        f"{references.name}:{number}: no cluster, which other rows have"
        for number, row in rows
        if row["cluster"] is None
    ]


def _form(row: Mapping[str, Any]) -> spelling.Script:
    return spelling.form(row["script"], row["normaliser"])


def _agreed(values: Iterable[str | None]) -> str | None:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _count(faults: list[str]) -> str:
    return "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
