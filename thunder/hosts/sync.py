"""An input brought to a host: what it lacks comes beside, is hashed, and moves to its place."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.ground import command, digest, moving
from thunder.ground.errors import Faults, ThunderError
from thunder.hosts import delivery, goods, hashing
from thunder.hosts.connection import Connection
from thunder.hosts.goods import Goods
from thunder.hosts.inputs import Input, Place
from thunder.jobs import kinds

_MAIN = "python -m thunder "
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


def command_for(runtime: Mapping[str, Any], name: str) -> str:
    """Return the command that brings what a job reads to a host."""
    again = str(runtime.get("reproduce") or "").removeprefix(_MAIN)
    return command.line("thunder", "sync", *shlex.split(again), "--to", name)


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
    return _state(way, goods.of(item, place))[0]


def bring(
    way: Connection,
    item: Input,
    place: Place,
    show: moving.Show = moving.silent,
    stop: Callable[[], bool] = lambda: False,
) -> State:
    """Have an input on a host, whole; returns what of it was there before.

    What a cut leaves is gone on from. Nothing that lies there is changed.

    Raises:
        Faults: another file is in the place of one, or what arrived is not what was sent.
    """
    check_here(item)
    wanted = goods.of(item, place)
    before = _state(way, wanted)[0]
    if before.is_whole:
        return before
    with delivery.alone(way, wanted.target, stop):
        before, right = _state(way, wanted)  # somebody else may have brought it meanwhile
        if before.differing:
            raise _taken(way, wanted, before.differing, item)
        if files := [name for name in before.lacking if name in wanted.files]:
            _room(way, wanted.target, before.bytes)
            _bring(way, wanted, files, right, show, stop)
        links = {name: to for name, to in wanted.links.items() if name in before.lacking}
        if links:  # last: there is no moment at which one leads to nothing
            way.call("link", folder=wanted.target, links=links)
    return before


def _hashes(wanted: Goods, names: Sequence[str]) -> dict[str, str]:
    """Return the sha256 of files here; a name that says it is believed, what arrived is not."""
    asked = [name for name in names if name not in wanted.sha256]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(digest.of_file, (wanted.files[name] for name in asked))
        return {**wanted.sha256, **dict(zip(asked, found, strict=True))}


def _unlike(wanted: Goods, there: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """Return which files of a host are not those of here.

    Args:
        there: the sha256 of all files that the host has.
        names: those that are compared.
    """
    is_all = len(there) == len(wanted.files)
    if is_all and wanted.digest is not None and digest.of_value(dict(there)) == wanted.digest:
        return []  # without a second reading of what planning has read
    hashes = _hashes(wanted, names)
    return [name for name in names if there.get(name) != hashes[name]]


def _state(way: Connection, wanted: Goods) -> tuple[State, dict[str, str]]:
    """Return what is on a host, and the sha256 of the files that are right there."""
    asked = None if wanted.links else [*wanted.files]  # of a cache, what else is there is told
    everything = way.call("listing", folder=wanted.target, names=asked) or []
    there = {row["path"]: row for row in everything}
    sizes = {name: path.stat().st_size for name, path in wanted.files.items()}
    same = [n for n in wanted.files if n in there and there[n]["bytes"] == sizes[n]]
    sha256 = hashing.digests(way, wanted.target, same) if same else {}
    unlike = _unlike(wanted, sha256, same)
    other = [n for n in wanted.files if n in there and (n not in sha256 or n in unlike)]
    other += [n for n, to in wanted.links.items() if n in there and there[n]["link"] != to]
    files = [name for name in wanted.files if name not in there]
    lacking = [*files, *(name for name in wanted.links if name not in there)]
    notes = [f"{name}: another one is there, and stays" for name in other if name in wanted.notes]
    notes += [_unfinished(row) for row in everything if row["path"].endswith(_UNFINISHED)]
    differing = [name for name in other if name not in wanted.notes]
    state = State(lacking, sum(sizes[name] for name in files), differing, notes)
    return state, {name: sha256[name] for name in same if name not in unlike}


def _unfinished(row: Mapping[str, Any]) -> str:
    size = row["bytes"] or 0
    return f"{row['path']}: left of a download that stopped, {size / 1e6:,.1f} MB; it stays"


def _taken(way: Connection, wanted: Goods, names: Sequence[str], item: Input) -> Faults:
    first = command.line(f"{way.call('folder', path=wanted.target)}/{names[0]}")
    away = command.line("ssh", way.host.ssh, f"mv {first} {first}.old")
    more = [f"… and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return Faults(
        f"host {way.host.name}: {wanted.target}: {item.name} {item.label!r} would take the place "
        "of other files, and nothing is overwritten:",
        [*names[:_SHOWN], *more, f"if they are not wanted, move them away: {away}"],
        item.cause,
    )


def _room(way: Connection, target: str, size: int) -> None:
    free = way.call("room", folder=target)
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
    right: Mapping[str, str],
    show: moving.Show,
    stop: Callable[[], bool],
) -> None:
    root = wanted.root
    beginning = len(os.path.join(root, ""))
    sent = {name: str(wanted.files[name])[beginning:] for name in names}
    every = [*dict.fromkeys(sent.values())]
    beside = delivery.push(way, Path(root), every, wanted.target, show, stop)
    arrived = hashing.digests(way, beside, every)
    there = {**right, **{name: arrived[sent[name]] for name in names if sent[name] in arrived}}
    if wrong := _unlike(wanted, there, names):
        way.call("remove", path=beside, below=os.path.dirname(beside))
        raise Faults(
            f"host {way.host.name}: {wanted.target}: nothing was put there: what arrived has "
            "not the sha256 that it has, or is named by, here:",
            [str(wanted.files[name]) for name in wrong],
            "write",
        )
    moves = [[sent[name], name] for name in names]
    way.call("land", source=beside, target=wanted.target, moves=moves)
