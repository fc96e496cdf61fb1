"""One run: its folder with its record, document and numbers."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from thunder.config.plain import by_key
from thunder.ground import command, digest, files, run_files, schema
from thunder.ground.errors import Faults, ThunderError, reason_of
from thunder.jobs.job import id_of
from thunder.runs import claim as claims
from thunder.runs import lock, manifest, once

Status = Literal["planned", "running", "paused", "done", "failed", "lost", "unreadable"]
REMEDY = "restore the file, or move the folder away"


class _Absent:
    """What a document has where it lacks a key."""


ABSENT = _Absent()


@dataclass(frozen=True)
class Run:
    """The folder of a job: `<outputs>/<kind>/<id>`, or `<id>.2` for a forced second one."""

    folder: Path

    @property
    def id(self) -> str:
        """The id of the job."""
        return self.folder.name.partition(".")[0]

    @property
    def number(self) -> int:
        """Which of the job's runs it is, the first without force being 1."""
        return int(self.folder.name.partition(".")[2] or 1)

    @property
    def kind(self) -> str:
        """The kind of the job."""
        return self.folder.parent.name

    @once.remembered
    def record(self) -> dict[str, Any]:
        """Read run.json, checked."""
        return self._record_now()

    def _record_now(self) -> dict[str, Any]:
        path = self.folder / run_files.RECORD
        record = _load(path)
        schema.check("run", record, str(path))
        if (record["kind"], record["id"]) != (self.kind, self.id):
            raise ThunderError(
                f"{path}: it is of run {record['kind']}/{record['id']}; {REMEDY}",
                "verification",
            )
        return record

    @once.remembered
    def exists(self) -> bool:
        """Say whether a run is there, readable or not, or what is left of one without a record."""
        try:
            (self.folder / run_files.RECORD).lstat()
            return True
        except FileNotFoundError:
            pass
        except OSError:  # it may not be looked into, or it is no folder
            return True
        try:
            return not all(map(_is_of_a_start, os.listdir(self.folder)))
        except FileNotFoundError:
            return self.folder.is_symlink()
        except OSError:
            return True

    @once.remembered
    def document(self) -> dict[str, Any]:
        """Read config.json, checked against the id.

        Raises:
            ThunderError: the file was changed after the run was named.
        """
        path = self.folder / run_files.CONFIG
        document = _load(path)
        try:
            content_id = id_of(document)
        except ValueError as error:  # a number that no config can hold
            raise ThunderError(f"{path}: drifted: {error}", "verification") from error
        if content_id != self.id:
            raise ThunderError(
                f"{path}: drifted: its content has id {content_id}, "
                f"the folder is {self.folder.name}; {REMEDY}",
                "verification",
            )
        return document

    def check_drift(self, wanted: Mapping[str, Any]) -> None:
        """Raise Faults when config.json is not the document of the job; names key, old and new."""
        path = self.folder / run_files.CONFIG
        recorded = _load(path)
        if digest.is_same(recorded, dict(wanted)):
            return
        raise Faults(
            f"{path}: drifted from the job that its folder is named after "
            f"(key: as recorded → as asked); {REMEDY}:",
            [f"{key}: {spelt(a)} → {spelt(b)}" for key, a, b in differences(recorded, wanted)],
            "verification",
        )

    def status(self, record: Mapping[str, Any] | None = None) -> Status:
        """Return the status; a run that says running without a living owner anywhere is lost."""
        if not self.exists():
            return "planned"
        recorded: Status = (record or self.record())["status"]
        if recorded != "running" or self.is_owned():
            return recorded
        now = self._record_now()  # its owner may have ended it since the first look
        recorded = now["status"]
        if recorded != "running" or self.is_owned():
            return recorded
        claim = claims.of_record(self.folder, now)
        return "running" if claim and not claim.is_void else "lost"

    def lives_on(self) -> str | None:
        """Return the host that a run lives on, None where it is on this machine or has ended."""
        record = self.record()
        claim = claims.of_record(self.folder, record)
        return claim.host["name"] if claim else None

    def is_owned(self) -> bool:
        """Say whether a living process holds the run's lock."""
        return lock.is_held(self.folder)

    @once.remembered
    def metrics(self) -> dict[str, float | None]:
        """Read metrics.json, checked; empty when there is none yet."""
        path = self.folder / run_files.METRICS
        if not path.is_file():
            return {}
        metrics = _load(path)
        schema.check("metrics", metrics, str(path))
        return metrics

    def rows(self) -> list[dict[str, Any]]:
        """Read of metrics.jsonl, numbers step by step, what the manifest vouches for."""
        path = self.folder / run_files.ROWS
        vouched = manifest.bytes_of(self.folder, self.id, run_files.ROWS)
        return [*_rows(path, 0, vouched)]

    def rows_to_come(self) -> list[dict[str, Any]]:
        """Read the rows that were added since: of steps that no manifest vouches for yet."""
        vouched = manifest.bytes_of(self.folder, self.id, run_files.ROWS)
        return [*_rows(self.folder / run_files.ROWS, vouched, None)]

    def at_step(self, step: int) -> dict[str, float | None]:
        """Return the numbers that metrics.jsonl has for a step, all its rows together."""
        numbers: dict[str, float | None] = {}
        for row in self.rows():
            if row.get("step") == step:
                numbers |= row
        return numbers


def spelt(value: Any) -> str:
    """Return a value of a document as it is written down, `absent` where there is none."""
    if value is ABSENT:
        return "absent"
    # What is nested may be so too deep for anything but json, which read it.
    is_nested = isinstance(value, list | dict)
    return json.dumps(value, ensure_ascii=False) if is_nested else command.spelt(value)


def differences(old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    """Return the dotted keys in which two documents differ, with both values."""
    flat_old, flat_new = by_key(old), by_key(new)
    keys = sorted({*flat_old, *flat_new})
    rows = [(key, flat_old.get(key, ABSENT), flat_new.get(key, ABSENT)) for key in keys]
    return [row for row in rows if not _is_equal(row[1], row[2])]


def _is_equal(old: Any, new: Any) -> bool:
    if old is ABSENT or new is ABSENT:
        return old is new
    return digest.is_same(old, new)


def _is_of_a_start(name: str) -> bool:
    """Say whether a run that has not begun may have a file; what else there is, a run left."""
    return name.startswith((".", "uncommitted-")) or name == run_files.CONFIG


def _rows(path: Path, start: int, end: int | None) -> Iterator[dict[str, Any]]:
    """Yield the rows between two offsets; what a crash tore off at the end is left out."""
    try:
        with files.open_regular(path) as stream:
            stream.seek(start)
            lines = stream.read(-1 if end is None else end - start).splitlines(keepends=True)
        yield from (files.parse_json(line) for line in lines if line.endswith(b"\n"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise ThunderError(f"{path}: cannot be read: {reason_of(error)}", "verification") from error


def _load(path: Path) -> dict[str, Any]:
    try:
        content = files.read_json(path)
    except FileNotFoundError as error:
        raise ThunderError(f"{path}: missing; {REMEDY}", "verification") from error
    except (OSError, ValueError) as error:
        raise ThunderError(
            f"{path}: cannot be read: {reason_of(error)}; {REMEDY}", "verification"
        ) from error
    if not isinstance(content, dict):
        raise ThunderError(f"{path}: cannot be read: it is no JSON object", "verification")
    return content
