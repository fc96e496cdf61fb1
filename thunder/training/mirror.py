"""The mirror of a run folder on the host of rank 0, which alone reads and writes the run's files.

Before a window it has the newest checkpoint and the rows of numbers. What is newer there comes home
before anybody is told of it, so that no record names what is not here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from thunder.ground import digest, files, run_files
from thunder.ground.errors import ThunderError
from thunder.hosts import delivery, fetching, hashing
from thunder.hosts.connection import Connection
from thunder.hosts.workspace import outputs_in
from thunder.runs import mirror as notes
from thunder.training import checkpoints, events, mirror_life, placement
from thunder.training.checkpoints import Layout
from thunder.training.events import Emit
from thunder.training.placement import Slot
from thunder.training.progress import beating


class Damaged(ThunderError):
    """A checkpoint on a host is not what was saved."""


@dataclass(frozen=True)
class Mirror:
    """A run folder here, and its mirror.

    Args:
        way: to the host of rank 0.
        there: the absolute path of the mirror.
    """

    way: Connection
    here: Path
    there: str
    layout: Layout

    @property
    def lock(self) -> str:
        """Return the file that rank 0 holds while it is at work there."""
        return f"{self.there}/{run_files.LOCK}"

    def settle(self) -> Iterator[str]:
        """Bring home what is newer there, as after a crash; yields it, in words.

        Raises:
            ThunderError: somebody else is at work there.
        """
        mirror_life.wait_until_free(self.way, self.there)
        yield from mirror_life.be_of_one(self.way, self.here, self.there)
        newest, _ = checkpoints.latest(self.here, self.layout)
        step = newest.step if newest else -1
        for newer in (one for one in self._steps() if one > step):
            try:
                found = self.fetch(newer)
            except Damaged as damaged:  # rank 0 sets it aside
                yield f"passed over a damaged checkpoint: {damaged}"
                continue
            if found:
                yield f"step {newer} brought home from host {self.way.host.name}"
                break
        fetching.sweep(self.here / "checkpoints")

    def fetch(self, step: int) -> Path | None:
        """Bring the checkpoint of a step home, with the rows of numbers up to it.

        Returns its folder here; None: a newer one has taken its place there.

        Raises:
            Damaged: it is not what was saved.
        """
        target = checkpoints.folder_of(self.here, step)
        wanted = self._held(step)
        if not wanted:
            return None
        self._refuse_damaged(step, {row["path"]: row["sha256"] for row in wanted})
        self._fetch_rows()
        try:
            self._fetch_files(step, wanted, target)
        except ThunderError:
            if not self._held(step):  # dropped while it was pulled
                fetching.sweep(target.parent)
                return None
            raise
        checkpoints.read(target, self.layout)
        checkpoints.drop_passing(self.here, step, self.layout)
        return target

    def bring(self) -> None:
        """Have the newest checkpoint and the rows of numbers there, and note here what is there."""
        newest, _ = checkpoints.latest(self.here, self.layout)
        if newest:
            names = [*self.layout.hashed, self.layout.record]
            here = {name: digest.of_file(newest.folder / name) for name in names}
            folder = self._folder(newest.step)
            if self.digests(newest.step) != here:
                self.way.call("remove", path=folder, below=self.there)
                delivery.bring(self.way, newest.folder, names, folder)
        rows = self._rows()
        # Rows of the verification are added here: without them the mirror is never proven home.
        if rows != (self.way.call("read", path=f"{self.there}/{run_files.ROWS}") or ""):
            self.way.call("write", path=f"{self.there}/{run_files.ROWS}", text=rows)
        self._note()

    def digests(self, step: int) -> dict[str, str]:
        """Return the sha256 of each file of a checkpoint there, the record last; empty: none."""
        return {row["path"]: row["sha256"] for row in self._held(step)}

    def homing(self, emit: Emit) -> Emit:
        """Return an emit that brings a saved checkpoint home before it tells of it."""

        def tell(event: events.Event) -> None:
            if event["event"] == "saved":
                with beating(emit):
                    folder = self.fetch(event["step"])
                if folder is None:
                    return
                event = events.saved(event["step"], folder)
            emit(event)

        return tell

    def _held(self, step: int) -> list[fetching.File]:
        """Return the files of a checkpoint there, the record last; empty: none."""
        rows = hashing.listed(self.way, self._folder(step)) or ()
        held: list[fetching.File] = [row for row in rows if "sha256" in row]
        held.sort(key=lambda row: bool(row["path"] == self.layout.record))
        return held if held and held[-1]["path"] == self.layout.record else []

    def _note(self) -> None:
        """Write down here what lies there."""
        rows = hashing.listed(self.way, self.there) or ()
        artifacts = [
            {name: row[name] for name in ("path", "bytes", "sha256")}
            for row in rows
            if "sha256" in row and not any(p.startswith(".") for p in row["path"].split("/"))
        ]
        if artifacts:
            notes.note(self.here, self.way.host.name, self.there, artifacts)

    def _fetch_files(self, step: int, wanted: Sequence[fetching.File], target: Path) -> None:
        # Of one that is whole here, only its record can have changed.
        if target.exists() and checkpoints.faults(target, self.layout):
            checkpoints.set_aside(target)
        fetching.fetch(self.way, self._folder(step), wanted, target, replaces=True)

    def _refuse_damaged(self, step: int, held: Mapping[str, str]) -> None:
        path = f"{self._folder(step)}/{self.layout.record}"
        recorded = json.loads(self.way.call("read", path=path) or "{}").get("sha256", held)
        if broken := [name for name in self.layout.hashed if held.get(name) != recorded.get(name)]:
            place = f"host {self.way.host.name}: {self._folder(step)}"
            raise Damaged(f"{place}: not what was saved: {', '.join(broken)}", "verification")

    def _fetch_rows(self) -> None:
        rows = self.way.call("read", path=f"{self.there}/{run_files.ROWS}") or ""
        whole = rows[: rows.rfind("\n") + 1]  # the last one may be being written
        if whole != self._rows():
            files.write_text(self.here / run_files.ROWS, whole)

    def _rows(self) -> str:
        path = self.here / run_files.ROWS
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def _steps(self) -> list[int]:
        rows = self.way.call("listing", folder=f"{self.there}/checkpoints") or ()
        return checkpoints.steps_of({PurePosixPath(row["path"]).parts[0] for row in rows})

    def _folder(self, step: int) -> str:
        return str(checkpoints.folder_of(Path(self.there), step))


def note_inputs(here: Path, host: str, items: Sequence[Mapping[str, Any]]) -> None:
    """Write down here what a host has of what its ranks read: see `runs.mirror`."""
    notes.note_inputs(here, host, items)


def of(slot: Slot, folder: Path, kind: str, layout: Layout) -> Mirror | None:
    """Return the mirror of a run folder at the slot of rank 0; None: that is this machine."""
    if slot.way is None:
        return None
    there = f"{outputs_in(placement.workspace(slot))}/{kind}/{folder.name}"
    return Mirror(slot.way, folder, there, layout)
