"""Files of a host brought here: beside their place first, hashed, then moved to it."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.ground import digest, files, moving, owned
from thunder.ground import names as paths
from thunder.ground.errors import Faults, ThunderError
from thunder.hosts import delivery, hashing, transfer
from thunder.hosts.connection import Connection, Lost
from thunder.hosts.far import filesystem, landing

File = Mapping[str, Any]  # path, bytes, sha256: as a host lists it, and a manifest has it


def fetch(
    way: Connection,
    source: str,
    wanted: Sequence[File],
    target: Path,
    *,
    replaces: bool = False,
    show: moving.Show = moving.silent,
) -> list[str]:
    """Bring files of a host home, and go on from a cut; return those that were not here as such.

    A folder that is not here yet appears whole.

    Args:
        wanted: folders get their places first, then files in this order.
        replaces: whether a file here that is another one gives way.

    Raises:
        Faults: what arrived is not what was asked for, or would take the place of another file.
    """
    paths.check_inside([one["path"] for one in wanted], f"host {way.host.name}: {source}")
    here = {one["path"]: _digest_of(target / one["path"]) for one in wanted}
    lacking = [one for one in wanted if here[one["path"]] != one["sha256"]]
    names = [one["path"] for one in lacking]
    other = [f"{name}: another file is here" for name in names if here[name]]
    if other and not replaces:
        raise Faults(f"{target}: what host {way.host.name} has is not this:", other, "write")
    if wrong := pull(way, source, lacking, target, show=show):
        raise Faults(f"host {way.host.name}: {source}: not what it was said to be:", wrong, "write")
    place(target, names)
    return names


def pull(
    way: Connection,
    source: str,
    wanted: Sequence[File],
    target: Path,
    *,
    show: moving.Show = moving.silent,
    stop: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Pull files of a host to beside a folder; return what is wrong with what came.

    What was added to a file since it was listed is cut off. What is right stays there, until it is
    given its place.
    """
    if not wanted:
        return []
    beside, total = incoming(target), sum(one["bytes"] for one in wanted)
    try:
        with moving.watched(lambda: landing.size(str(beside)), total, show):
            transfer.pull(way, source, [one["path"] for one in wanted], beside, stop)
    except ThunderError as error:
        if isinstance(error, Lost) or error.cause != "data":
            raise
        return [str(error)]  # gone since it was listed
    return [f"{one['path']}: {why}" for one in wanted if (why := _fault(beside, one))]


def place(target: Path, names: Sequence[str]) -> None:
    """Give files that were pulled their places; a folder that is new appears whole."""
    beside = incoming(target)
    if not beside.is_dir():
        return
    owned.check()
    moves = [[name, name] for name in names]
    landing.land(str(beside), os.path.realpath(target), moves, replaces=True)
    for folder in {target.parent, *((target / name).parent for name in names)}:
        files.sync(folder)


def sweep(folder: Path) -> None:
    """Remove what was pulled for what lies in a folder, and never got its place."""
    for left in folder.glob(f"{delivery.INCOMING}*"):
        shutil.rmtree(left, ignore_errors=True)


def incoming(target: Path) -> Path:
    """Return where what is on its way to a folder lies until it is whole."""
    return Path(delivery.incoming(os.path.realpath(target)))  # a link may lead to another disk


def _fault(beside: Path, wanted: File) -> str:
    """Return what is wrong with a file that came, and remove it; nothing when it is right."""
    path = beside / wanted["path"]
    if link := _link_on(beside, wanted["path"]):
        link.unlink()  # what it leads to is not ours to touch
        return "a link there, where a file was expected"
    if path.is_file():
        _cut(path, wanted["bytes"])
    if why := hashing.fault(_digest_of(path), wanted["sha256"]):
        filesystem.remove(str(path), str(beside))
    return why


def _link_on(beside: Path, name: str) -> Path | None:
    """Return the first link on the way from a folder to a file in it."""
    way = [beside / one for one in [*Path(name).parents][-2::-1]] + [beside / name]
    return next((one for one in way if one.is_symlink()), None)


def _cut(path: Path, size: int) -> None:
    """Cut off what was added to a file since it was listed, and have it on disk."""
    if path.stat().st_size > size:
        os.truncate(path, size)
    files.sync(path)


def _digest_of(path: Path) -> str | None:
    return digest.of_file(path) if path.is_file() else None
