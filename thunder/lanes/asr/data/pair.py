"""One row of a pairs file: which of its columns count, and what may be wrong with them."""

from collections.abc import Mapping
from typing import Any

from thunder.ground import json_lines, names, prose

AUDIO = "audio"
DURATIONS = ("duration_s", "duration")
SHOWN = 40  # characters of an id that cannot be one
INSIDE = "a path inside the folder is needed, to no hidden file and no README or the like"
_LABELS = ("feat_id", "origin", "cluster", "group")  # whole numbers may stand for their digits


def of(raw: Mapping[str, Any], wanted: Mapping[str, str]) -> tuple[dict[str, Any], str | None]:
    """Return the columns of a row, and the first thing that is wrong with it.

    Args:
        wanted: what a column is for (feat_id, origin, cluster, group, or the script that its text
            is in), to its name in the file.
    """
    row: dict[str, Any] = {}
    for what, column in wanted.items():
        value = raw.get(column)
        if what in _LABELS and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if fault := _CHECKS.get(what, _text_fault)(value, column in raw):
            return row, f"{column!r} {fault}"
        row[what] = value
    for column in (AUDIO, *DURATIONS):
        if fault := _CHECKS[column](raw.get(column)):
            return row, f"{column!r} {fault}"
    seconds = next((raw[name] for name in DURATIONS if raw.get(name) is not None), None)
    return {**row, "audio": raw.get(AUDIO), "duration_s": seconds}, None


def id_fault(value: object, is_there: bool = True) -> str | None:
    """Return why a value cannot name a row: the name is that of a file, too."""
    if fault := _text_fault(value, is_there):
        return fault
    name = str(value)
    if name != name.strip() or not name.isprintable():
        return f"is {name!a}: a name for a file, without spaces around it or control characters"
    why = names.fault(name)
    shown = name if len(name) <= SHOWN else f"{name[:SHOWN]}…"
    return f"is {shown!r}: {why}" if why else None


def _text_fault(value: object, is_there: bool) -> str | None:
    if not isinstance(value, str):
        return f"must be text, is {json_lines.kind(value) if is_there else 'missing'}"
    return None if value.strip() else "is empty"


def _origin_fault(value: object, is_there: bool) -> str | None:
    """Where a row comes from may be unknown, and is null then."""
    return None if value is None and is_there else _text_fault(value, is_there)


def _audio_fault(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        return f"must be a path inside the folder, is {value!r}"
    return None if is_inside(value) else f"is {value!r}: {INSIDE}, with /"


def is_inside(path: str) -> bool:
    """Say whether a path stays among the files of a folder that name the data."""
    is_hidden = any(part.startswith(".") and part != "." for part in path.split("/"))
    is_outside = path.startswith(("/", "~")) or "\\" in path
    return not (is_hidden or is_outside or prose.is_prose(path))


def _duration_fault(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9:
        return None
    return f"must be seconds, more than 0, is {json_lines.kind(value)}: {value!r:.40}"


_CHECKS: dict[str, Any] = {
    "feat_id": id_fault, "group": _text_fault, "cluster": _text_fault,
    "origin": _origin_fault, AUDIO: _audio_fault, **dict.fromkeys(DURATIONS, _duration_fault),
}  # fmt: skip
