"""Files brought to a host or home: beside their place first, hashed, then moved to it."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from thunder.ground import digest
from thunder.ground import names as paths
from thunder.ground.errors import Faults, ThunderError
from thunder.hosts import transfer
from thunder.hosts.connection import Connection

_ASIDE = "aside"  # of a workspace: what was left of runs that went on elsewhere
_INCOMING = ".incoming"  # hidden: no part of what lies around it
_SECONDS_PER_GIGABYTE = 30.0
_HASH_SECONDS = 60.0
_LOOK_SECONDS = 0.2


def bring(
    way: Connection,
    source: Path,
    names: Sequence[str],
    target: str,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Bring files to a folder of a host that appears whole; say whether it was not there before.

    What a cut leaves beside the place is gone on from.

    Args:
        names: relative to both folders.
        target: below the host's workspace; it is named after its content, so that it needs to be
            brought once.

    Raises:
        Faults: what arrived is not what was sent.
    """
    if is_there(way, target):
        return False
    with alone(way, target, stop):
        if is_there(way, target):  # somebody else brought it meanwhile
            return False
        beside = way.call("folder", path=incoming(target))
        transfer.push(way, source, names, beside, stop)
        if wrong := differing(way, source, names, beside):
            way.call("remove", path=beside, below=way.host.workspace)
            raise Faults(f"host {way.host.name}: {beside}: not what was sent:", wrong, "write")
        way.call("land", source=beside, target=target, moves=[[name, name] for name in names])
    return True


@contextmanager
def alone(way: Connection, target: str, stop: Callable[[], bool]) -> Iterator[None]:
    """Have nobody else, of any machine, bring anything to a place while the block does.

    Args:
        stop: asked now and then while others are waited for.
    """
    lock = f"{incoming(target)}.held"
    while not way.call("hold", lock=lock):
        if stop():
            raise ThunderError(f"stopped while others bring {target}", "stopped")
        time.sleep(_LOOK_SECONDS)
    try:
        yield
    finally:
        with suppress(ThunderError):  # the way there is gone, and the lock goes with it
            way.call("let_go", lock=lock)


def fetch(
    way: Connection,
    source: str,
    wanted: Mapping[str, str],
    target: Path,
    *,
    replace: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Bring files of a host home, and go on from a cut; return those that were not here as such.

    Args:
        wanted: the sha256 of each file, by name; they get their places in this order.
        replace: whether a file here that is another one gives way.

    Raises:
        Faults: what arrived is not what was asked for, or would take the place of another file.
    """
    paths.check_inside(wanted, f"host {way.host.name}: {source}")
    here = {name: _digest_here(target / name) for name in wanted}
    lacking = [name for name in wanted if here[name] != wanted[name]]
    other = [f"{name}: another file is here" for name in lacking if here[name]]
    if other and not replace:
        raise Faults(f"{target}: what host {way.host.name} has is not this:", other, "write")
    if not lacking:
        return []
    beside = target / _INCOMING
    transfer.pull(way, source, lacking, beside, stop)
    arrived = {name: _digest_here(beside / name) for name in lacking}
    if wrong := [
        f"{name}: its sha256 differs" for name in lacking if arrived[name] != wanted[name]
    ]:
        shutil.rmtree(beside)
        raise Faults(f"host {way.host.name}: {source}: not what it was said to be:", wrong, "write")
    for name in lacking:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (beside / name).replace(target / name)
    shutil.rmtree(beside)
    return lacking


def is_there(way: Connection, folder: str) -> bool:
    """Say whether a folder is there."""
    return way.call("listing", folder=folder, names=[]) is not None


def incoming(target: str) -> str:
    """Return where what is on its way to a place lies until it is whole."""
    folder, _, name = target.rpartition("/")
    return f"{folder}/.incoming-{name}"


def differing(way: Connection, source: Path, names: Sequence[str], folder: str) -> list[str]:
    """Return what files of a host's folder are not those of a folder here, by sha256."""
    size = sum((source / name).stat().st_size for name in names)
    rows = way.call(
        "listing", folder=folder, hashed=True, names=list(names), within=hash_seconds(size)
    )
    there = {row["path"]: row.get("sha256") for row in rows or ()}
    return [
        f"{name}: {'missing' if there.get(name) is None else 'its sha256 differs'}"
        for name in names
        if there.get(name) != digest.of_file(source / name)
    ]


def hash_seconds(size: int) -> float:
    """Return how long a host may take to hash so many bytes, on a slow disk."""
    return _HASH_SECONDS + _SECONDS_PER_GIGABYTE * size / 1e9


def _digest_here(path: Path) -> str | None:
    return digest.of_file(path) if path.is_file() else None


def move_aside(way: Connection, far: str, workspace: str) -> str:
    """Move a run's folder out of the way, and return its new place; nothing is removed."""
    kind, name = far.split("/")[-2:]
    target = f"{workspace}/{_ASIDE}/{kind}-{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    way.call("rename", source=far, target=target)
    return target
