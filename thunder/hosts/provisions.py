"""What one run alone reads on a host: brought for a window, removed after it, or when it is left.

Who brings it holds a lock beside it, together with others who need the same, until it is removed,
or the way there is gone: by that the rest is told from what somebody reads.
"""

import re
from contextlib import suppress
from pathlib import Path

from thunder.ground import digest
from thunder.ground.errors import ThunderError
from thunder.hosts import delivery, environment
from thunder.hosts.connection import Connection
from thunder.hosts.inputs import FOLDER

_DIGITS = 12
_REMOVE_SECONDS = 5.0  # a host that is out of reach is not waited for
# What it is and whose, then its digest. What has a digest alone for its name is of many runs.
_NAME = re.compile(
    rf"(?:{re.escape(delivery.INCOMING)})?([a-z]+-[0-9a-f]{{12}}(?:\.\d+)?)-[0-9a-f]{{{_DIGITS}}}"
)


def bring(way: Connection, source: Path, whose: str) -> str:
    """Bring the files of a folder for a run, in place of what was left of it; return their place.

    Args:
        whose: what they are and the name of the run's folder, as `word-name`.
    """
    names = digest.visible_files(source)
    folder = f"{environment.workspace(way)}/{FOLDER}"
    target = f"{folder}/{whose}-{digest.of_folder(source, names)[:_DIGITS]}"
    delivery.wait_for(way, _lock(target), f"others remove {target}", is_shared=True)
    for other in left(way, whose):
        if _name(other) != _name(target):
            discard(way, other)
    delivery.bring(way, source, names, target)
    return target


def remove(way: Connection, place: str) -> None:
    """Remove what was brought, unless others read it, or there is no way to its host any more."""
    with suppress(ThunderError):
        way.call("let_go", lock=_lock(place), within=_REMOVE_SECONDS)
        discard(way, place)


def left(way: Connection, whose: str = "") -> list[str]:
    """Return where something lies there that was brought for one run alone.

    Args:
        whose: what it is and whose, as for `bring`; empty: whatever it is.
    """
    folder = f"{environment.workspace(way)}/{FOLDER}"
    every = {name: _NAME.fullmatch(name) for name in way.call("entries", folder=folder)}
    return [f"{folder}/{n}" for n, match in every.items() if match and whose in ("", match[1])]


def discard(way: Connection, place: str, *, is_trial: bool = False) -> bool:
    """Remove what was brought for one run alone unless somebody reads, or brings it.

    Args:
        is_trial: whether it stays even so.

    Returns whether it is gone, or would be.
    """
    lock = _lock(place)
    if not way.call("hold", lock=lock, within=_REMOVE_SECONDS):
        return False
    try:
        if not is_trial:
            way.call("remove", path=place, below=way.host.workspace, within=_REMOVE_SECONDS)
    finally:
        way.call("let_go", lock=lock, within=_REMOVE_SECONDS)
    return True


def _name(place: str) -> str:
    return place.rpartition("/")[2].removeprefix(delivery.INCOMING)


def _lock(place: str) -> str:
    """Return the lock beside a place, the same for what is on its way there."""
    return f"{place.rpartition('/')[0]}/.read-{_name(place)}"
