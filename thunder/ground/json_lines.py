"""JSON Lines that people bring: every broken line is named, none is skipped."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from thunder.ground.errors import Faults, ThunderError, of_os_error
from thunder.ground.wording import not_utf8, some_lines

MOST_SHOWN = 20
MARK = b"\xef\xbb\xbf"  # the byte order mark that some editors put before UTF-8


def read(path: Path) -> bytes:
    """Return the bytes of a file, or say in words why they cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ThunderError(of_os_error(error, path), "data") from error


def rows(data: bytes) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
    """Return the rows by line number, and a fault for every line that is not a JSON object."""
    faults: dict[int, str] = {}
    return dict(each(data.split(b"\n"), faults)), faults


def each(lines: Iterable[bytes], faults: dict[int, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows with their line numbers, one at a time: a file may be large.

    Args:
        faults: gets what is wrong with every line that is not a JSON object.
    """
    is_first = True
    for number, whole in enumerate(lines, 1):
        line = whole.removeprefix(MARK) if number == 1 else whole
        if not line.strip():
            continue
        try:
            yield number, _row(line)
        except (ValueError, RecursionError) as error:
            faults[number] = _why(error)
            if is_first and (other := _other_form(line.strip())):
                faults[number] = f"{other}; JSON Lines is needed, one object on each line"
                return  # every further line would be a fault
        is_first = False


def _other_form(line: bytes) -> str | None:
    """Return what a file is, by its first line, that is one piece of JSON instead of lines."""
    if line.startswith(b"["):
        return "this is one JSON list"
    return "this is one JSON object over several lines" if line == b"{" else None


def placed(name: str, faults: dict[int, str]) -> list[str]:
    """Return faults with file and line, in the order of the lines."""
    return [f"{name}:{number}: {faults[number]}" for number in sorted(faults)]


def refuse(title: str, faults: list[str]) -> None:
    """Raise the faults, if there are any; a long list is cut, and its length is said."""
    if faults:
        raise Faults(title, some_lines(faults, MOST_SHOWN), "data")


def _row(line: bytes) -> dict[str, Any]:
    text = line.decode("utf-8")
    row = json.loads(text)
    if not isinstance(row, dict):
        raise ValueError(f"a row is a JSON object, this is {kind(row)}")
    if "\\u" in text:  # only an escape can bring half a character into text
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    return row


def kind(value: object) -> str:
    """Return what a JSON value is, in JSON's words."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return not_utf8(error)
    if isinstance(error, UnicodeEncodeError):
        return "a lone surrogate (half a character) in the text"
    if isinstance(error, json.JSONDecodeError):
        return f"invalid JSON: {error.msg} at column {error.colno}"
    return "invalid JSON: nested too deep" if isinstance(error, RecursionError) else str(error)
