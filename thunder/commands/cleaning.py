"""What runs left on hosts: shown, or removed there where it is proven home, or of no use."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.executors import owner, ways
from thunder.ground import digest, files, run_files, wording
from thunder.ground.errors import ThunderError, message_of
from thunder.hosts import hashing, provisions
from thunder.hosts.connection import Connection
from thunder.hosts.host import Host
from thunder.hosts.workspace import outputs_in
from thunder.runs import lock, mirror, reading, store
from thunder.runs.manifest import NOT_LISTED
from thunder.runs.run import Run

_LISTING_SECONDS = 600.0
_RUN, _LEFTOVER = "run", "leftover"
_FREE = {_RUN: "every file of it is here", _LEFTOVER: "of a window that is over"}


@dataclass(frozen=True)
class Copy:
    """A run's folder on a host, or what was brought there for one run alone.

    Args:
        run: its kind and name, `None` where the host itself is spoken of.
        kept: why it stays; empty where it is proven home, or of no use any more.
        what: it is.
    """

    host: str
    run: str | None
    size: int
    kept: str
    what: str = _RUN


def clean(hosts: Sequence[Host], outputs: Path, *, remove: bool) -> list[Copy]:
    """Look at what runs left on hosts; remove, if told so, what is proven home, or of no use."""
    return [copy for host in hosts for copy in _of_host(host, outputs, remove=remove)]


def lines(copies: Sequence[Copy], *, removed: bool) -> list[str]:
    """Return what was, or would be, removed, and what is kept and why."""
    head = ["host", "run", "size", "what"]
    rows = [
        [one.host, one.run or "", _megabytes(one.size), _told(one, removed=removed)]
        for one in copies
    ]
    gone = [copy for copy in copies if not copy.kept]
    numbers = {what: [copy.what for copy in gone].count(what) for what in (_RUN, _LEFTOVER)}
    counts = [wording.count(n, what) for what, n in numbers.items() if n or what == _RUN]
    total = ", ".join([*counts, _megabytes(sum(copy.size for copy in gone))])
    foot = f"{total} removed" if removed else f"{total} could be removed: add --yes"
    return [*([wording.columns(head, rows)] if rows else []), foot]


def _told(copy: Copy, *, removed: bool) -> str:
    if copy.kept:
        return f"kept: {copy.kept}"
    return "removed" if removed else f"would be removed: {_FREE[copy.what]}"


def _of_host(host: Host, outputs: Path, *, remove: bool) -> Iterator[Copy]:
    try:
        with ways.to(host) as way:
            copies = _copies(way)
            living = way.call("living", **owner.signs_of_life(outputs_in(host.workspace)))
            # What one run made, another that goes on there may be reading.
            why = f"{living[0]} goes on there" if living else ""
            yield from _provisions(way, why, remove=remove)
            for far, rows in copies.items():
                yield _settled(way, far, rows, outputs, why, remove=remove)
    except ThunderError as error:
        yield Copy(host.name, None, 0, message_of(error))


def _provisions(way: Connection, why: str, *, remove: bool) -> Iterator[Copy]:
    """Look at what windows brought for themselves alone, and a link that was lost has left."""
    for place in provisions.left(way):
        size = sum(row["bytes"] or 0 for row in way.call("listing", folder=place) or ())
        is_free = not why and provisions.discard(way, place, is_trial=not remove)
        kept = "" if is_free else why or "somebody reads it"
        yield Copy(way.host.name, _name(place), size, kept, _LEFTOVER)


def _copies(way: Connection) -> dict[str, list[Mapping[str, Any]]]:
    """Return the visible files of each run there, by its folder."""
    root = outputs_in(way.host.workspace)
    rows = way.call("listing", folder=root, within=_LISTING_SECONDS) or []
    copies: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        kind, _, rest = row["path"].partition("/")
        name, _, path = rest.partition("/")
        if path and store.is_name(name):
            copies.setdefault(f"{root}/{kind}/{name}", []).append({**row, "path": path})
    return copies


def _settled(
    way: Connection,
    far: str,
    rows: Sequence[Mapping[str, Any]],
    outputs: Path,
    why: str,
    *,
    remove: bool,
) -> Copy:
    run = Run(outputs / _name(far))
    size = sum(row["bytes"] or 0 for row in rows)
    kept = why
    try:
        if not kept and not run.exists():
            kept = f"no run of that name in {outputs.absolute()}"
        if not kept:
            with lock.owned(run.folder):  # so that it is not begun there meanwhile
                kept = _unproven_here(run)
                there = {} if kept else _digests(way, far, rows)
                kept = kept or _unproven(run, there)
                if remove and not kept:
                    _remove(way, far, run, there)
    except (ThunderError, OSError) as error:
        kept = message_of(error)
    return Copy(way.host.name, _name(far), size, kept.splitlines()[0] if kept else "")


def _unproven_here(run: Run) -> str:
    """Return why the run here proves nothing, nothing when every file of it is as listed."""
    so_far = reading.of(run, None)
    if so_far.fault or so_far.status in ("running", "lost"):
        return so_far.fault or f"here, the run is {so_far.status}"
    wrong = store.verify(run)
    return f"here, {wrong[0]}" if wrong else ""


def _digests(
    way: Connection, far: str, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Return what a run made as it lies there now, by name, with `bytes` and `sha256`."""
    ours = (run_files.MANIFEST, *NOT_LISTED)
    names = [
        row["path"] for row in rows if not row["path"].startswith(".") and row["path"] not in ours
    ]
    return {row["path"]: row for row in hashing.listed(way, far, names) or ()}


def _unproven(run: Run, there: Mapping[str, Mapping[str, Any]]) -> str:
    """Return why it is not proven that every file there is here, nothing when it is."""
    listed = files.read_json(run.folder / run_files.MANIFEST)["artifacts"]
    here = {one["path"]: one["sha256"] for one in listed}
    other = [
        name
        for name, row in there.items()
        if here.get(name) != row.get("sha256") and not _is_beginning(row, run)
    ]
    return f"{other[0]} is not here as it is there" if other else ""


def _is_beginning(row: Mapping[str, Any], run: Run) -> bool:
    """Say whether what is there are the first rows of here: the last one is written at home."""
    path = run.folder / run_files.ROWS
    if row["path"] != run_files.ROWS or not path.is_file():
        return False
    return digest.of_bytes(path.read_bytes()[: row["bytes"]]) == row.get("sha256")


def _remove(way: Connection, far: str, run: Run, there: Mapping[str, Mapping[str, Any]]) -> None:
    """Remove a run there unless it, or another that may read it, was begun since it was looked at.

    A file whose digest is known there is not hashed again.
    """
    runs = outputs_in(way.host.workspace)
    digests = {name: row.get("sha256") for name, row in there.items()}
    signs = owner.signs_of_life(runs)
    way.call("discard", path=far, digests=digests, **signs, within=_LISTING_SECONDS)
    mirror.forget(run.folder, way.host.name)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _name(far: str) -> str:
    """Return kind and name of a run's folder on a host."""
    return "/".join(far.split("/")[-2:])
