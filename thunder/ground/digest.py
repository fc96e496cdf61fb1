"""Canonical JSON and the digests of values, files and folders."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import rfc8785

from thunder.ground.errors import ThunderError

BLOCK_BYTES = 1 << 20


def canonical(value: Any) -> bytes:
    """Return the one spelling of a JSON value (RFC 8785)."""
    return bytes(rfc8785.dumps(value))


def is_same(first: Any, second: Any) -> bool:
    """Say whether two JSON values are one: `1` and `true` are not, though Python calls them so."""
    if first != second:
        return False
    texts = (json.dumps(value, sort_keys=True) for value in (first, second))  # the quick way to yes
    return len(set(texts)) == 1 or canonical(first) == canonical(second)


def of_bytes(data: bytes) -> str:
    """Return the sha256 of bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def of_value(value: Any) -> str:
    """Return the sha256 of the canonical JSON of a value."""
    return of_bytes(canonical(value))


def of_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, read in blocks."""
    sha256 = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            sha256.update(block)
    return sha256.hexdigest()


def of_folder(folder: Path, names: Iterable[str] | None = None) -> str:
    """Return a digest of a folder's content that does not depend on where the folder lies.

    Args:
        names: the relative paths that count; by default every file that is not hidden.
    """
    chosen = visible_files(folder) if names is None else names
    return of_value({name: of_file(folder / name) for name in chosen})


def visible_files(folder: Path) -> list[str]:
    """Return the relative paths of a folder's files, hidden ones left out, sorted.

    Links are followed: what counts is what a reader of the folder finds in it.

    Raises:
        ThunderError: a link leads nowhere, or back to a folder that it lies in.
    """
    return sorted(_files_in(folder, "", ())) if folder.is_dir() else []


def _files_in(folder: Path, place: str, above: tuple[str, ...]) -> Iterator[str]:
    here = os.path.realpath(folder)
    if here in above:
        raise ThunderError(f"{folder}: a link back to a folder that it lies in", "data")
    try:
        with os.scandir(folder) as entries:  # of what is no link it says the kind without a look
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:  # moved away since the folder above was read
        return
    for entry in visible:
        what = Path(entry.path) if entry.is_symlink() else entry
        if what.is_dir():
            yield from _files_in(Path(entry.path), f"{place}{entry.name}/", (*above, here))
        elif what.is_file():
            yield f"{place}{entry.name}"
        elif entry.is_symlink() and os.path.lexists(entry.path):
            broken = f"{entry.path}: a link to nothing, {os.readlink(entry.path)!r}"
            raise ThunderError(broken, "data")
