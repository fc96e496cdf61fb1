"""A corpus folder, read and checked line by line."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thunder.ground import command, json_lines, schema, wording
from thunder.ground.digest import of_bytes, of_folder
from thunder.ground.errors import Faults, ThunderError
from thunder.ground.input_files import MANIFEST

SPLITS = ("train", "valid", "test")
CREATED_BY = "thunder"  # a manifest of our own says so
NAMES = (*(f"{split}.jsonl" for split in SPLITS), MANIFEST)
MOST_LEFT_OUT = 0.5  # of what a person brings: with more, it is not what they think it is
ROLES = ("system", "user", "assistant")
SHAPE = '{"messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …}]}'


def load(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every split, or name everything that is broken.

    A row has `messages`, `meta` and its `line` in the file; keys of others are left out.
    """
    check_is_complete(folder)
    manifest = _manifest(folder)
    data = {split: json_lines.read(folder / f"{split}.jsonl") for split in SPLITS}
    _check_digests(folder, manifest, data)
    rows: dict[str, list[dict[str, Any]]] = {}
    faults: list[str] = []
    for split in SPLITS:
        rows[split], broken = _rows(data[split])
        faults += json_lines.placed(f"{split}.jsonl", broken)
    json_lines.refuse(f"corpus {folder}: broken rows: {len(faults)}", faults)
    empty = [f"{split}.jsonl" for split in SPLITS if not rows[split]]
    if empty:
        raise ThunderError(f"corpus {folder}: no rows in {', '.join(empty)}", "data")
    return rows


def digest(folder: Path) -> str:
    """Return the digest of a corpus's content, wherever it lies."""
    check_is_complete(folder)
    return of_folder(folder, names(folder))


def names(folder: Path) -> list[str]:
    """Return the files of a folder that are read, and so name it; others may lie beside them."""
    return [name for name in NAMES if (folder / name).is_file()]


def lacks(folder: Path) -> list[str]:
    """Return what a folder lacks of the four files."""
    return [f"{name}: missing" for name in NAMES if not (folder / name).is_file()]


def check_is_complete(folder: Path) -> None:
    """Refuse a folder that lacks one of the four files."""
    if not folder.is_dir():
        raise ThunderError(f"corpus {folder}: no such folder", "data")
    missing = [name for name in NAMES if not (folder / name).is_file()]
    if missing:
        hint = f"; a {MANIFEST} of {{}} is enough" if MANIFEST in missing else ""
        raise ThunderError(f"corpus {folder}: missing {', '.join(missing)}{hint}", "data")


def _manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest; one of our own must be whole, one of others an object."""
    path = folder / MANIFEST
    objects, faults = json_lines.rows(json_lines.read(path).replace(b"\n", b" "))
    if faults or len(objects) != 1:
        raise ThunderError(f"{path}: {faults.get(1, 'empty; {} is the least')}", "data")
    manifest = objects[1]
    if manifest.get("created_by") == CREATED_BY:
        schema.check("corpus_manifest", manifest, str(path), cause="data")
    return manifest


def _check_digests(folder: Path, manifest: dict[str, Any], data: dict[str, bytes]) -> None:
    """Compare every file with the digest that the manifest has for it, if it has any."""
    expected = manifest.get("sha256")
    if not isinstance(expected, dict):
        return
    actual = {f"{split}.jsonl": of_bytes(data[split]) for split in SPLITS}
    changed = [
        f"{name}: expected sha256 {expected[name]}, found {actual[name]}"
        for name in actual
        if name in expected and expected[name] != actual[name]
    ]
    json_lines.refuse(f"corpus {folder}: files changed since the manifest was written", changed)


def _rows(data: bytes) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """Return the usable rows and the faults by line."""
    numbered, faults = json_lines.rows(data)
    for number, row in numbered.items():
        fault = _fault(row)
        if fault:
            faults[number] = fault
    sound = {number: row for number, row in numbered.items() if number not in faults}
    return [_columns(row, number) for number, row in sound.items()], faults


def _fault(row: dict[str, Any]) -> str | None:
    """Return what is wrong with a row: any keys may stand beside `messages`, and are not read."""
    if "messages" not in row:
        return f"no 'messages', only {', '.join(map(repr, row)) or 'nothing'}; a row is {SHAPE}"
    messages = row["messages"]
    if not isinstance(messages, list) or not messages:
        what = "an empty list" if messages == [] else json_lines.kind(messages)
        return f"'messages' must be a list of messages, is {what}"
    if not isinstance(row.get("meta", {}), dict):
        return f"'meta' must be an object, is {json_lines.kind(row['meta'])}"
    faults = (_message_fault(i, message) for i, message in enumerate(messages))
    return next(filter(None, faults), None) or _order_fault(messages)


def _message_fault(i: int, message: Any) -> str | None:
    if not isinstance(message, dict):
        return f"messages[{i}] must be an object, is {json_lines.kind(message)}"
    for key in ("role", "content"):
        if not isinstance(message.get(key), str):
            what = json_lines.kind(message[key]) if key in message else "missing"
            return f"messages[{i}].{key} must be text, is {what}"
    if message["role"] not in ROLES:
        return f"messages[{i}].role: {message['role']!r} is not one of {', '.join(ROLES)}"
    if message["role"] != "system" and not message["content"].strip():
        return f"messages[{i}].content: the {message['role']} says nothing"
    return None


def _order_fault(messages: list[dict[str, str]]) -> str | None:
    """Check for a system message or none, then user and assistant in turn."""
    roles = [message["role"] for message in messages]
    turns = roles[1:] if roles[0] == "system" else roles
    if turns and len(turns) % 2 == 0 and turns == ["user", "assistant"] * (len(turns) // 2):
        return None
    order = "user and assistant in turn, the assistant last, after one system message or none"
    return f"the roles are {', '.join(roles)}; they must be {order}"


def _columns(row: dict[str, Any], line: int) -> dict[str, Any]:
    messages = [{key: message[key] for key in ("role", "content")} for message in row["messages"]]
    return {"messages": messages, "meta": row.get("meta", {}), "line": line}


def check_target(folder: Path) -> None:
    """Raise when a folder that is to be made is there, or could not be named to a job."""
    if "${" in (path := os.path.abspath(folder)):
        raise ThunderError(
            f"{path}: ${{ begins a reference in every config, so that no job could be told of this "
            "folder: name another one"
        )
    if os.path.lexists(folder):
        raise ThunderError(
            f"{folder} exists; a corpus is never built over another: name a new folder"
        )


def check_left_out(missing: int, count: int, what: str, most: float, why: Sequence[str]) -> None:
    """Refuse to make a folder of a smaller share of what was brought than a person allows.

    Args:
        what: of which there are `count`, and `missing` of them left out.
        most: the share that may be left out.
        why: a line for each reason.
    """
    if missing > most * count:
        raise Faults(
            f"{missing} of {wording.count(count, what)} left out, and --most-left-out allows "
            f"{most:.0%}; nothing was made:",
            why,
            "data",
        )


def share(written: str) -> float:
    """Return the share that --most-left-out says, MOST_LEFT_OUT where it says nothing."""
    try:
        value = float(written or MOST_LEFT_OUT)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ThunderError(f"--most-left-out: {written!r} is not a share from 0 to 1")
    return value


def use_text(words: Sequence[str], folder: Path) -> str:
    """Return the command that trains on a folder that was made."""
    chosen = command.override("data.source.folder", os.path.abspath(folder))
    return f"use it: {command.line('python', '-m', 'thunder', *words)} {chosen}"
