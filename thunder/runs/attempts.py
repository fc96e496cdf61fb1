"""The record of a run as it goes on: begun, advanced, ended; always the last thing written."""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from thunder.ground import command, files, run_files, schema
from thunder.ground.errors import Faults, ThunderError
from thunder.jobs.job import Job
from thunder.runs import manifest, store
from thunder.runs.run import REMEDY, Run


def start(
    run: Run, job: Job, provenance: Mapping[str, Any], changes: bytes = b""
) -> dict[str, Any]:
    """Record that an attempt begins, and return the record.

    Args:
        changes: what the code has beyond its commit; kept as `uncommitted-<digest>.diff`.
    """
    if run.exists():
        record = run.record()
        if belated := store.belated(run, record["step"]):
            raise Faults(f"{run.folder}: {REMEDY}:", belated, "verification")
    else:
        record = _new_record(job)
    _clear_torn(run)
    if (run.folder / run_files.CONFIG).is_file():
        run.check_drift(job.document)
    else:
        files.write_json(run.folder / run_files.CONFIG, job.document)
    if changes:
        name = f"uncommitted-{provenance['diff_sha256'][:12]}.diff"
        files.write_bytes(run.folder / name, changes)
    attempt = {
        "number": len(record["attempts"]) + 1,
        "started": now(),
        "ended": None,
        "status": "running",
        "runtime": {**job.runtime, "command": command.line(*provenance["command"])},
        "from_step": record.get("saved", record["step"]),
        "to_step": job.goal,
        "seconds": None,
        "error": None,
        "provenance": dict(provenance),
        "backend": {},
    }
    record = {**record, "status": "running", "attempts": [*record["attempts"], attempt]}
    return write_record(run, record)


def advance(run: Run, record: dict[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Record what is verified so far: numbers, then the manifest, then run.json, last of all."""
    schema.check("metrics", result["metrics"], str(run.folder / run_files.METRICS), cause="crash")
    files.write_json(run.folder / run_files.METRICS, result["metrics"])
    _write_manifest(run)
    inputs = {**record["inputs"], **result.get("inputs", {})}
    record = {k: v for k, v in record.items() if k != "saved"}
    return write_record(run, {**record, "step": result.get("step"), "inputs": inputs})


def save(run: Run, record: dict[str, Any], step: int) -> dict[str, Any]:
    """Record that a checkpoint was saved on the way, which the next attempt goes on from."""
    return write_record(run, {**record, "saved": step})


def finish(run: Run, record: dict[str, Any], result: Mapping[str, Any], seconds: float) -> None:
    """Record a good ending, as `advance` does, with its status."""
    step, total = result.get("step"), record["total"]
    status = "done" if total is None or step == total else "paused"
    ending = {"status": status, "seconds": seconds, "error": None}
    advance(run, _ended(record, ending), result)


def stop(run: Run, record: dict[str, Any], step: int | None, seconds: float | None) -> None:
    """Record that the attempt was stopped; it resumes from its last verified step."""
    is_over = step is not None and step == record["total"]  # stopped after its last window
    ending = {"status": "done" if is_over else "paused", "seconds": seconds, "error": None}
    with contextlib.suppress(ThunderError):  # what cannot be listed is `verify`'s news
        _refresh_manifest(run)
    write_record(run, _ended({**record, "step": step}, ending))


def fail(run: Run, record: dict[str, Any], error: Mapping[str, Any], seconds: float) -> None:
    """Record a failure in the words the user needs."""
    told = dict(error)
    try:
        _refresh_manifest(run)
    except ThunderError as fault:  # the first fault must not be lost over it
        told["message"] = f"{error['message']}\nand its files cannot be listed: {fault}"
    ending = {"status": "failed", "seconds": seconds, "error": told}
    write_record(run, _ended(record, ending))


def write_record(run: Run, record: dict[str, Any]) -> dict[str, Any]:
    """Check and write run.json; returns the record."""
    schema.check("run", record, str(run.folder / run_files.RECORD), cause="crash")
    files.write_json(run.folder / run_files.RECORD, record)
    return record


def now() -> str:
    """Return the time as records have it, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _clear_torn(run: Run) -> None:
    """Remove what a killed process had not renamed yet; the lock says that nobody writes now."""
    for path in run.folder.glob(f".*{files.UNFINISHED}"):
        if path.is_file():
            path.unlink(missing_ok=True)


def _write_manifest(run: Run, keep: Sequence[str] = ()) -> None:
    manifest.write(run.folder, run.id, leave_out=manifest.NOT_LISTED, keep=keep)


def _refresh_manifest(run: Run) -> None:
    """List what an attempt that did not end well added to a run that has results."""
    if store.has_manifest(run):
        # No such attempt writes these: were they listed anew, a changed one would pass for proven.
        _write_manifest(run, keep=(run_files.CONFIG, run_files.METRICS, run_files.ROWS))


def _new_record(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "status": "running",
        "profile": job.runtime["profile"],
        "stand_in": job.is_stand_in,
        "step": None if job.total is None else 0,
        "total": job.total,
        "inputs": {},
        "attempts": [],
    }


def _ended(record: dict[str, Any], ending: Mapping[str, Any]) -> dict[str, Any]:
    attempt = {**record["attempts"][-1], "ended": now(), **ending}
    attempts = [*record["attempts"][:-1], attempt]
    return {**record, "status": ending["status"], "attempts": attempts}
