"""The Python of a host that an environment is made with."""

import sys
from typing import Any

from thunder.hosts import environment
from thunder.hosts.connection import Connection

_SERIES = ("3.13", "3.12", "3.11")  # for which everything that thunder needs is published
_OLDEST = (3, 11)
_SEARCH_SECONDS = 120.0


def of(way: Connection) -> dict[str, Any]:
    """Return path and version of it: the site's, else one as here, else the newest.

    Raises:
        ThunderError: none is there that can make an environment, and what to do.
    """
    ours = ".".join(map(str, sys.version_info[:2]))
    series = sorted(_SERIES, key=lambda name: name != ours)
    seen = way.call("pythons", first=way.host.python, series=series, within=_SEARCH_SECONDS)
    new = [row for row in seen if _series(row["version"]) >= _OLDEST]
    if fits := [row for row in new if not row["lacks"]]:
        return dict(fits[0])
    found = ", ".join(f"{row['version']} at {row['path']}" for row in seen)
    advice = "install one (macOS: brew install python@3.12), or name it by hosts.{}.python"
    reason = f"no Python 3.11 or later there, only {found}; {advice}"
    if new:
        reason = (
            f"Python {new[0]['version']} at {new[0]['path']} lacks {new[0]['lacks']}, with "
            "which an environment is made; install it (Debian: apt-get install python3-venv)"
        )
    raise environment.unmade(way, reason.format(way.host.name))


def _series(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")[:2]))
