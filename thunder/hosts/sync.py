"""An input brought to a host: what it lacks comes beside, is hashed, and moves to its place."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from thunder.ground import command, digest
from thunder.ground.errors import Faults, ThunderError
from thunder.hosts import delivery, goods, transfer
from thunder.hosts.connection import Connection
from thunder.hosts.goods import Goods
from thunder.hosts.inputs import Input, Place
from thunder.jobs import kinds

Show = Callable[[int, int], None]  # bytes that are there, of so many
_LOOK_SECONDS = 0.5
_UNFINISHED = ".incomplete"  # what the hub's client leaves of a download that stopped
_SHOWN = 5
_SPARE_BYTES = 64 << 20  # that a disk keeps free


@dataclass(frozen=True)
class State:
    """What of an input is on a host.

    Args:
        lacking: the files and links that are not there.
        bytes: of the files that are lacking.
        differing: the files that are there and are others.
        notes: what is there besides and stays as it is.
    """

    lacking: Sequence[str]
    bytes: int
    differing: Sequence[str]
    notes: Sequence[str]

    @property
    def is_whole(self) -> bool:
        """Whether the host has all of it."""
        return not (self.lacking or self.differing)


def check_here(item: Input) -> None:
    """Refuse to bring what is not whole on this machine.

    Raises:
        Faults: what it lacks.
    """
    if item.here is None:
        raise ThunderError(
            f"{item.name} {item.label!r} is a stand-in that is built when a run needs it: there is "
            "nothing to bring yet"
        )
    if item.lacks and (faults := kinds.loaded(item.lacks)(item.here)):
        raise Faults(f"{item.here}: not whole on this machine:", faults, item.cause)


def state(way: Connection, item: Input, place: Place) -> State:
    """Return what of an input is on a host; every file that is there is hashed."""
    wanted = goods.of(item, place)
    with _hashes(wanted) as hashes:
        return _state(way, wanted, hashes)


def bring(
    way: Connection,
    item: Input,
    place: Place,
    show: Show = lambda done, of: None,
    stop: Callable[[], bool] = lambda: False,
) -> State:
    """Have an input on a host, whole; returns what of it was there before.

    What a cut leaves is gone on from. Nothing that lies there is changed.

    Raises:
        Faults: another file is in the place of one, or what arrived is not what was sent.
    """
    check_here(item)
    wanted = goods.of(item, place)
    with _hashes(wanted) as hashes:
        before = _state(way, wanted, hashes)
        if before.differing:
            raise _taken(way, wanted, before.differing, item)
        if files := [name for name in before.lacking if name in wanted.files]:
            _room(way, wanted.target, before.bytes)
            _bring(way, wanted, files, hashes, show, stop)
    links = {name: to for name, to in wanted.links.items() if name in before.lacking}
    if links:  # last: there is no moment at which one leads to nothing
        way.call("link", folder=wanted.target, links=links)
    return before


class _Hashes:
    """The sha256 of files here, found out beside other work; a name that says it is believed."""

    def __init__(self, wanted: Goods, pool: ThreadPoolExecutor) -> None:
        self._known = wanted.sha256
        self._found = {
            name: pool.submit(digest.of_file, path)
            for name, path in wanted.files.items()
            if name not in wanted.sha256
        }

    def __getitem__(self, name: str) -> str:
        return self._known.get(name) or self._found[name].result()


@contextmanager
def _hashes(wanted: Goods) -> Iterator[_Hashes]:
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield _Hashes(wanted, pool)
    finally:
        pool.shutdown(cancel_futures=True)


def _state(way: Connection, wanted: Goods, hashes: _Hashes) -> State:
    asked = None if wanted.links else [*wanted.files]  # of a cache, what else is there is told
    everything = way.call("listing", folder=wanted.target, names=asked) or []
    there = {row["path"]: row for row in everything}
    sizes = {name: path.stat().st_size for name, path in wanted.files.items()}
    same = [n for n in wanted.files if n in there and there[n]["bytes"] == sizes[n]]
    rows = _listed(way, wanted.target, same, sum(sizes[n] for n in same)) if same else []
    sha256 = {row["path"]: row.get("sha256") for row in rows}
    other = [n for n in wanted.files if n in there and sha256.get(n) != hashes[n]]
    other += [n for n, to in wanted.links.items() if n in there and there[n]["link"] != to]
    files = [name for name in wanted.files if name not in there]
    lacking = [*files, *(name for name in wanted.links if name not in there)]
    notes = [f"{name}: another one is there, and stays" for name in other if name in wanted.notes]
    notes += [_unfinished(row) for row in everything if row["path"].endswith(_UNFINISHED)]
    differing = [name for name in other if name not in wanted.notes]
    return State(lacking, sum(sizes[name] for name in files), differing, notes)


def _unfinished(row: Mapping[str, Any]) -> str:
    size = row["bytes"] or 0
    return f"{row['path']}: left of a download that stopped, {size / 1e6:,.1f} MB; it stays"


def _listed(way: Connection, folder: str, names: Sequence[str], size: int) -> list[dict[str, Any]]:
    within = delivery.hash_seconds(size)
    return way.call("listing", folder=folder, names=list(names), hashed=True, within=within) or []


def _taken(way: Connection, wanted: Goods, names: Sequence[str], item: Input) -> Faults:
    first = f"{wanted.target}/{names[0]}"
    away = command.line("ssh", way.host.ssh, f"mv {command.line(first)} {command.line(first)}.old")
    more = [f"… and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return Faults(
        f"host {way.host.name}: {wanted.target}: {item.name} {item.label!r} would take the place "
        "of other files, and nothing is overwritten:",
        [*names[:_SHOWN], *more, f"if they are not wanted, move them away: {away}"],
        item.cause,
    )


def _room(way: Connection, target: str, size: int) -> None:
    free = way.call("facts", folder=target)["free_disk"]
    if free < size + _SPARE_BYTES:
        raise ThunderError(
            f"host {way.host.name}: {target}: {size / 1e6:,.0f} MB to bring, and its disk has "
            f"{free / 1e6:,.0f} MB free; make room",
            "write",
        )


def _bring(
    way: Connection,
    wanted: Goods,
    names: Sequence[str],
    hashes: _Hashes,
    show: Show,
    stop: Callable[[], bool],
) -> None:
    root = wanted.root
    sent = {name: wanted.files[name].relative_to(root).as_posix() for name in names}
    beside = way.call("folder", path=delivery.incoming(wanted.target))
    total = sum(wanted.files[name].stat().st_size for name in names)
    with shown(lambda: way.call("size", folder=beside), total, show):
        transfer.push(way.host, root, [*dict.fromkeys(sent.values())], beside, stop)
        rows = _listed(way, beside, [*dict.fromkeys(sent.values())], total)
        arrived = {row["path"]: row.get("sha256") for row in rows}
        wrong = [name for name in names if arrived.get(sent[name]) != hashes[name]]
        if wrong:
            way.call("remove", path=beside, below=os.path.dirname(beside))
            raise Faults(
                f"host {way.host.name}: {wanted.target}: nothing was put there: what arrived has "
                "not the sha256 that it has, or is named by, here:",
                [str(wanted.files[name]) for name in wrong],
                "write",
            )
        moves = [[sent[name], name] for name in names]
        way.call("land", source=beside, target=wanted.target, moves=moves)


@contextmanager
def shown(size: Callable[[], int], total: int, show: Show) -> Iterator[None]:
    """Tell now and then how much is there of what the block brings."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            try:
                show(min(total, size()), total)
            except ThunderError:  # whoever waits for the files hears of it
                return

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
        show(total, total)
    finally:
        ended.set()
        looking.join()
