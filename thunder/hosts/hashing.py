"""Files of a host with their digests, within a deadline that fits how much there is to read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thunder.ground import digest
from thunder.hosts.connection import Connection

_SECONDS = 60.0
_SECONDS_PER_GIGABYTE = 30.0


def listed(
    way: Connection, folder: str, names: Sequence[str] | None = None
) -> list[dict[str, Any]] | None:
    """Return path, bytes, sha256 and link of the files of a host's folder, None: no folder.

    Args:
        names: the files that are asked for, all of them where none are named; one that is not
            there is left out.
    """
    asked = None if names is None else list(names)
    rows = way.call("listing", folder=folder, names=asked)
    if not rows:
        return None if rows is None else []
    within = seconds(sum(row["bytes"] or 0 for row in rows))
    rows = way.call("listing", folder=folder, names=asked, hashed=True, within=within)
    return None if rows is None else list(rows)


def digests(way: Connection, folder: str, names: Sequence[str] | None = None) -> dict[str, str]:
    """Return the sha256 of the files of a host's folder; as `listed`."""
    rows = listed(way, folder, names) or ()
    return {row["path"]: row["sha256"] for row in rows if "sha256" in row}


def differing(way: Connection, source: Path, names: Sequence[str], folder: str) -> list[str]:
    """Return what files of a host's folder are not those of a folder here, and how."""
    there = digests(way, folder, names)
    every = ((name, fault(there.get(name), digest.of_file(source / name))) for name in names)
    return [f"{name}: {why}" for name, why in every if why]


def fault(sha256: str | None, wanted: str) -> str:
    """Say how a file is another one than the one that is wanted, nothing where it is that one.

    Args:
        sha256: of the file; None: there is none.
    """
    if sha256 is None:
        return "missing"
    return "" if sha256 == wanted else "its sha256 differs"


def seconds(size: int) -> float:
    """Return how long a host may take to hash so many bytes, on a slow disk."""
    return _SECONDS + _SECONDS_PER_GIGABYTE * size / 1e9
