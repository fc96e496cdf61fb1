"""Files there: read, written whole, listed with their digests, moved, removed."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from thunder.hosts.far.refusal import Refused

_CHUNK = 1 << 20
_THREADS = os.cpu_count() or 1
_hashed: dict[tuple[int, ...], str] = {}


def read(path: str) -> str | None:
    """Return the text of a file, None where there is none."""
    try:
        with open(placed(path), encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def write(path: str, text: str) -> None:
    """Write a file that appears whole, with the folders above it."""
    place = placed(path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    beside = f"{place}.{os.getpid()}.{threading.get_ident()}.part"
    try:
        with open(beside, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, place)
    except OSError as error:
        if os.path.exists(beside):
            os.remove(beside)
        error.filename = error.filename or place  # a write to a stream does not say where
        raise


def folder(path: str) -> str:
    """Make a folder unless it is there; returns its absolute path."""
    place = placed(path)
    os.makedirs(place, exist_ok=True)
    return place


def entries(folder: str) -> list[str]:
    """Return the names in a folder; nothing where there is none."""
    place = placed(folder)
    return sorted(os.listdir(place)) if os.path.isdir(place) else []


def listing(
    folder: str, hashed: bool = False, names: list[str] | None = None
) -> list[dict[str, Any]] | None:
    """Return path, bytes, sha256 (where asked) and link of the files of a folder, None: no folder.

    Args:
        names: the files that are asked for; all of them where none are named.

    A link has its target as `link`, None otherwise; the bytes of one to nothing are None.
    """
    place = placed(folder)
    if not os.path.isdir(place):
        return None
    asked = sorted(_names(place) if names is None else names)
    there = [name for name in asked if os.path.lexists(f"{place}/{name}")]
    if not hashed:
        return [_row(place, name) for name in there]
    with ThreadPoolExecutor(_THREADS) as pool:
        every = range(_THREADS)
        parts = pool.map(lambda n: [_row(place, name, True) for name in there[n::_THREADS]], every)
        return sorted((row for part in parts for row in part), key=lambda row: str(row["path"]))


def rename(source: str, target: str) -> None:
    """Move what is whole to where it belongs; what lies there already stays, and is a refusal."""
    place = placed(target)
    if os.path.lexists(place):
        raise Refused(f"{place}: is there already")
    os.makedirs(os.path.dirname(place), exist_ok=True)
    os.rename(placed(source), place)


def remove(path: str, below: str) -> None:
    """Remove a file or folder; that it is gone already is no fault.

    Args:
        below: the folder that it must lie in: a slip of a path must not cost a home.
    """
    place = inside(path, below)
    if os.path.isdir(place):
        shutil.rmtree(place)
    elif os.path.lexists(place):
        os.remove(place)


def inside(path: str, below: str) -> str:
    """Return a path without links, which must lie below a folder."""
    place, root = os.path.realpath(placed(path)), os.path.realpath(placed(below))
    if not place.startswith(root + os.sep):
        raise Refused(f"{place}: not below {root}")
    return place


def placed(path: str) -> str:
    """Return a path with the home that `~` stands for."""
    return os.path.expanduser(path)


def _row(folder: str, name: str, hashed: bool = False) -> dict[str, Any]:
    path = os.path.join(folder, name)
    link = os.readlink(path) if os.path.islink(path) else None
    row: dict[str, Any] = {"path": name, "bytes": None, "link": link}
    if os.path.isfile(path):
        row["bytes"] = os.path.getsize(path)
        if hashed:
            row["sha256"] = sha256(path)
    return row


def _names(folder: str) -> list[str]:
    found = []
    for root, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        found += [os.path.relpath(os.path.join(root, name), folder) for name in [*names, *links]]
    return found


def sha256(path: str) -> str:
    """Return the digest of a file; while it stays as it is, it is read once."""
    at = os.stat(path)
    stamp = (at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
    if stamp not in _hashed:
        found = hashlib.sha256()
        with open(path, "rb") as stream:
            while chunk := stream.read(_CHUNK):
                found.update(chunk)
        _hashed[stamp] = found.hexdigest()
    return _hashed[stamp]
