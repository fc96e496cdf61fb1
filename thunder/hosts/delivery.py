"""Files brought to a host: beside their place first, hashed, then moved to it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from thunder.ground import moving
from thunder.ground.errors import Faults, ThunderError
from thunder.hosts import hashing, transfer
from thunder.hosts.connection import Connection

_ASIDE = "aside"  # of a workspace: what was left of runs that went on elsewhere
INCOMING = ".incoming-"  # what is on its way lies hidden beside its place, under this and its name
_LOOK_SECONDS = 0.2


def bring(
    way: Connection,
    source: Path,
    names: Sequence[str],
    target: str,
    stop: Callable[[], bool] = lambda: False,
    show: moving.Show = moving.silent,
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
        beside = push(way, source, names, target, show, stop)
        if wrong := hashing.differing(way, source, names, beside):
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
    with held(way, f"{incoming(target)}.held", f"others bring {target}", stop):
        yield


@contextmanager
def held(way: Connection, lock: str, others: str, stop: Callable[[], bool]) -> Iterator[None]:
    """Hold a lock of a host while the block goes on; it ends with the way there at the latest.

    Args:
        others: what it means that it is held by others, who are waited for.
        stop: asked now and then meanwhile.
    """
    wait_for(way, lock, others, stop)
    try:
        yield
    finally:
        with suppress(ThunderError):  # the way there is gone, and the lock goes with it
            way.call("let_go", lock=lock)


def wait_for(
    way: Connection,
    lock: str,
    others: str,
    stop: Callable[[], bool] = lambda: False,
    *,
    is_shared: bool = False,
) -> None:
    """Take a lock of a host as soon as it is free; as `held`.

    Args:
        is_shared: whether others may take it so as well.
    """
    while not way.call("hold", lock=lock, shared=is_shared):
        if stop():
            raise ThunderError(f"stopped while {others}", "stopped")
        time.sleep(_LOOK_SECONDS)


def push(
    way: Connection,
    source: Path,
    names: Sequence[str],
    target: str,
    show: moving.Show,
    stop: Callable[[], bool],
) -> str:
    """Bring files to beside a place of a host; return the folder there, with all as it came."""
    beside, total = incoming(target), sum((source / name).stat().st_size for name in names)
    beside = str(way.call("folder", path=beside))
    # Hashed while the rest is on its way.
    ahead = partial(way.call, "arrived", folder=beside, names=list(names))
    with moving.watched(lambda: int(ahead(within=hashing.seconds(total))), total, show):
        transfer.push(way, source, names, beside, stop)
    return beside


def is_there(way: Connection, folder: str) -> bool:
    """Say whether a folder is there."""
    return way.call("listing", folder=folder, names=[]) is not None


def incoming(target: str) -> str:
    """Return where what is on its way to a place lies until it is whole."""
    folder, _, name = target.rpartition("/")
    return f"{folder}/{INCOMING}{name}"


def move_aside(way: Connection, far: str, workspace: str) -> str:
    """Move a run's folder out of the way, and return its new place; nothing is removed."""
    kind, name = far.split("/")[-2:]
    target = f"{workspace}/{_ASIDE}/{kind}-{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    way.call("rename", source=far, target=target)
    return target
