"""outputs/: run folders, records, locks, manifests; the only place that knows file names there."""

import fcntl
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.config import compose as configs
from thunder.ground import digest, files, schema
from thunder.ground.errors import Faults, ThunderError
from thunder.jobs import job as jobs
from thunder.jobs.kinds import KINDS
from thunder.runs import manifest

CONFIG, RECORD, METRICS, ROWS = "config.json", "run.json", "metrics.json", "metrics.jsonl"
_LOCK = ".lock"
_FOLDER = re.compile(r"^([0-9a-f]{12})(?:\.(\d+))?$")
_LOCK_TRIES = 5
_SHOWN_RUNS = 10


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
        path = self.folder / RECORD
        found = _load(path)
        schema.check("run", found, str(path))
        if (found["kind"], found["id"]) != (self.kind, self.id):
            raise ThunderError(
                f"{path}: it is of run {found['kind']}/{found['id']}; move the folder away",
                "verification",
            )
        return found

    def exists(self) -> bool:
        """Say whether the run has a record; a folder without one was never started."""
        return (self.folder / RECORD).is_file()

    def document(self) -> dict[str, Any]:
        """Read config.json, checked against the id.

        Raises:
            ThunderError: the file was changed after the run was named.
        """
        path = self.folder / CONFIG
        found = _load(path)
        try:
            named = jobs.id_of(found)
        except ValueError as error:  # a number that no config can hold
            raise ThunderError(f"{path}: drifted: {error}", "verification") from error
        if named != self.id:
            raise ThunderError(
                f"{path}: drifted: its content has id {named}, the folder is {self.folder.name}; "
                "restore the file, or move the folder away",
                "verification",
            )
        return found

    def check_drift(self, wanted: Mapping[str, Any]) -> None:
        """Raise Faults when config.json is not the document of the job; names key, old and new."""
        found = _load(self.folder / CONFIG)
        if digest.is_same(found, dict(wanted)):
            return
        raise Faults(
            f"{self.folder / CONFIG}: drifted from the job that its folder is named after "
            "(key: as recorded → as asked); restore the file, or move the folder away:",
            [f"{key}: {old!r} → {new!r}" for key, old, new in differences(found, wanted)],
            "verification",
        )

    def status(self, record: Mapping[str, Any] | None = None) -> str:
        """Return the status; a run that says running without a living owner is lost."""
        if not self.exists():
            return "planned"
        said = str((record or self.record())["status"])
        if said != "running" or self.is_owned():
            return said
        said = str(self.record()["status"])  # its owner may have ended it since the first look
        return "lost" if said == "running" and not self.is_owned() else said

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
        path = self.folder / METRICS
        if not path.is_file():
            return {}
        found = _load(path)
        schema.check("metrics", found, str(path))
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Read metrics.jsonl: numbers step by step."""
        path = self.folder / ROWS
        try:
            return list(files.read_jsonl(path))
        except ValueError as error:
            raise ThunderError(f"{path}: cannot be read: {error}", "verification") from error

    def at_step(self, step: int) -> dict[str, float | None]:
        """Return the numbers that metrics.jsonl has for a step, all its rows together."""
        found: dict[str, float | None] = {}
        for row in self.rows():
            if row.get("step") == step:
                found |= row
        return found


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


def find(outputs: Path, kind: str, job_id: str) -> Run:
    """Return the newest run of a job that is done, else the newest, else the place for one."""
    found = runs_of(outputs, kind, job_id)
    if len(found) == 1:
        return found[0]
    return next((run for run in reversed(found) if run.record()["status"] == "done"), found[-1])


def runs_of(outputs: Path, kind: str, job_id: str) -> list[Run]:
    """Return the runs of a job, oldest first; the place for the first one when there is none."""
    found = [Run(outputs / kind / job_id)]
    # A folder without a record was never started: it hides no older run.
    while (run := _numbered(outputs, found[0], len(found) + 1)).exists():
        found.append(run)
    return found


def beside(outputs: Path, run: Run) -> Run:
    """Return the place for a forced attempt beside the newest run."""
    return _numbered(outputs, run, len(runs_of(outputs, run.kind, run.id)) + 1)


def all_runs(outputs: Path) -> list[Run]:
    """Return every run in a folder of outputs."""
    kinds = [outputs / kind for kind in KINDS]
    return [
        Run(folder)
        for kind in kinds
        if kind.is_dir()
        for folder in sorted(kind.iterdir())
        if _FOLDER.match(folder.name) and (folder / RECORD).is_file()
    ]


def by_prefix(outputs: Path, word: str) -> Run:
    """Return the run that an id or the beginning of one means.

    Raises:
        ThunderError: none or several runs begin so.
    """
    found = [run for run in all_runs(outputs) if run.folder.name.startswith(word)]
    exact = [run for run in found if run.folder.name == word]
    if len(exact) == 1 or len(found) == 1:
        return (exact or found)[0]
    if found:
        raise ThunderError(f"{word!r} is the beginning of {_shown(found)}; give more of it")
    have = all_runs(outputs)
    hint = schema.nearest(word, [run.folder.name for run in have])
    raise ThunderError(f"no run {word!r} in {outputs.absolute()}{hint}; runs: {_shown(have)}")


def is_proven(run: Run) -> bool:
    """Say whether the run has a manifest, so that it can be verified."""
    return (run.folder / manifest.NAME).is_file()


def verify(run: Run) -> list[str]:
    """Prove a run by its id and its manifest; return what is wrong."""
    try:
        run.document()
    except ThunderError as error:
        return [str(error)]
    may_grow = run.record()["status"] != "done"
    return manifest.faults(run.folder, run.id, leave_out=(RECORD,), may_grow=may_grow)


def verify_numbers(run: Run, *, has_steps: bool) -> list[str]:
    """Prove the files that tables read; return what is wrong.

    Args:
        has_steps: numbers are read by step, so that metrics.json, the latest ones, is not.
    """
    return manifest.faults_of(run.folder, run.id, (CONFIG, ROWS if has_steps else METRICS))


def differences(old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    """Return the dotted keys in which two documents differ, with both values."""
    flat_old, flat_new = (
        {".".join(path): value for path, value in configs.leaves(doc)} for doc in (old, new)
    )
    keys = sorted({*flat_old, *flat_new})
    rows = [(key, flat_old.get(key, ABSENT), flat_new.get(key, ABSENT)) for key in keys]
    return [row for row in rows if not _is_equal(row[1], row[2])]


def _is_equal(old: Any, new: Any) -> bool:
    if old is ABSENT or new is ABSENT:
        return old is new
    return digest.is_same(old, new)


def _load(path: Path) -> dict[str, Any]:
    try:
        found = files.read_json(path)
    except FileNotFoundError as error:
        raise ThunderError(f"{path}: missing", "verification") from error
    except (OSError, ValueError) as error:
        raise ThunderError(f"{path}: cannot be read: {error}", "verification") from error
    if not isinstance(found, dict):
        raise ThunderError(f"{path}: cannot be read: it is no JSON object", "verification")
    return found


def _numbered(outputs: Path, run: Run, number: int) -> Run:
    return Run(outputs / run.kind / f"{run.id}.{number}")


def _shown(runs: list[Run]) -> str:
    names = ", ".join(run.folder.name for run in runs[:_SHOWN_RUNS]) or "none"
    more = len(runs) - _SHOWN_RUNS
    return f"{names} and {more:,} more" if more > 0 else names
