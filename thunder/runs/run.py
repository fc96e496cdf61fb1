"""One run: its folder with its record, document and numbers, and the lock that says whose it is."""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from thunder.config.plain import by_key
from thunder.ground import digest, files, run_files, schema
from thunder.ground.errors import Faults, ThunderError
from thunder.jobs.job import id_of

Status = Literal["planned", "running", "paused", "done", "failed", "lost"]
_LOCK = ".lock"
_LOCK_TRIES = 5


class _Absent:
    """What a document has where it lacks a key."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


class Busy(ThunderError):
    """Another runner owns the run."""


@dataclass(frozen=True)
class Run:
    """The folder of a job: `<outputs>/<kind>/<id>`, or `<id>.2` for a forced second one."""

    folder: Path

    @property
    def id(self) -> str:
        """The id of the job."""
        return self.folder.name.partition(".")[0]

    @property
    def kind(self) -> str:
        """The kind of the job."""
        return self.folder.parent.name

    def record(self) -> dict[str, Any]:
        """Read run.json, checked."""
        path = self.folder / run_files.RECORD
        record = _load(path)
        schema.check("run", record, str(path))
        if (record["kind"], record["id"]) != (self.kind, self.id):
            raise ThunderError(
                f"{path}: it is of run {record['kind']}/{record['id']}; move the folder away",
                "verification",
            )
        return record

    def exists(self) -> bool:
        """Say whether the run has a record; a folder without one was never started."""
        return (self.folder / run_files.RECORD).is_file()

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
                f"the folder is {self.folder.name}; restore the file, or move the folder away",
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
            "(key: as recorded → as asked); restore the file, or move the folder away:",
            [f"{key}: {old!r} → {new!r}" for key, old, new in differences(recorded, wanted)],
            "verification",
        )

    def status(self, record: Mapping[str, Any] | None = None) -> Status:
        """Return the status; a run that says running without a living owner is lost."""
        if not self.exists():
            return "planned"
        recorded: Status = (record or self.record())["status"]
        if recorded != "running" or self.is_owned():
            return recorded
        recorded = self.record()["status"]  # its owner may have ended it since the first look
        return "lost" if recorded == "running" and not self.is_owned() else recorded

    def is_owned(self) -> bool:
        """Say whether a living process holds the run's lock."""
        path = self.folder / _LOCK
        if not path.is_file():
            return False
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def metrics(self) -> dict[str, float | None]:
        """Read metrics.json, checked; empty when there is none yet."""
        path = self.folder / run_files.METRICS
        if not path.is_file():
            return {}
        metrics = _load(path)
        schema.check("metrics", metrics, str(path))
        return metrics

    def rows(self) -> list[dict[str, Any]]:
        """Read metrics.jsonl: numbers step by step."""
        path = self.folder / run_files.ROWS
        try:
            return list(files.read_jsonl(path))
        except ValueError as error:
            raise ThunderError(f"{path}: cannot be read: {error}", "verification") from error

    def at_step(self, step: int) -> dict[str, float | None]:
        """Return the numbers that metrics.jsonl has for a step, all its rows together."""
        numbers: dict[str, float | None] = {}
        for row in self.rows():
            if row.get("step") == step:
                numbers |= row
        return numbers


@contextmanager
def owned(run: Run) -> Iterator[int]:
    """Own a run while the block runs; yields the lock's descriptor, for children to inherit.

    The kernel frees the lock when every process that holds the descriptor is gone.

    Raises:
        Busy: another process owns it.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(run.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        for attempt in range(_LOCK_TRIES):  # a reader of the status may hold it for an instant
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == _LOCK_TRIES - 1:
                    raise Busy(f"{run.folder} is being run by another process") from None
                time.sleep(0.02)
        yield descriptor
    finally:
        os.close(descriptor)


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


def _load(path: Path) -> dict[str, Any]:
    try:
        content = files.read_json(path)
    except FileNotFoundError as error:
        raise ThunderError(f"{path}: missing", "verification") from error
    except (OSError, ValueError) as error:
        raise ThunderError(f"{path}: cannot be read: {error}", "verification") from error
    if not isinstance(content, dict):
        raise ThunderError(f"{path}: cannot be read: it is no JSON object", "verification")
    return content
