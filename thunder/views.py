"""What the tasks show of runs, cells and reasons: plain data for scripts, lines for people."""

from typing import Any

from thunder import store


def planned_json(row: Any) -> dict[str, Any]:
    """Return a planned cell for scripts."""
    job = row.cell.job
    return {
        "run": row.run.folder.name,
        "kind": job.kind,
        "label": row.cell.label or job.runtime["profile"],
        "cell": row.cell.coordinates,
        "status": row.status,
        "step": row.step,
        "goal": job.goal,
        "steps": "" if job.total is None else f"{row.step or 0} → {job.goal} of {job.total}",
        "reached": row.is_reached,
        "stand_in": job.is_stand_in,
        "folder": str(row.run.folder.absolute()),
    }


def run_json(run: store.Run) -> dict[str, Any]:
    """Return a run for scripts."""
    record = run.record()
    return {
        "run": run.folder.name, "kind": run.kind, "label": record["profile"] or "",
        "status": run.status(record), "step": record["step"], "total": record["total"],
        "steps": steps(record), "stand_in": record["stand_in"],
        "folder": str(run.folder.absolute()),
    }  # fmt: skip


def steps(record: dict[str, Any]) -> str:
    """Return how far a record is."""
    return "" if record["total"] is None else f"step {record['step'] or 0} of {record['total']}"


def reason_json(reason: Any) -> dict[str, Any]:
    """Return why a cell is new, for scripts."""
    keys = [{"key": k, "old": a, "new": b, "place": place} for k, a, b, place in reason.keys]
    nearest = reason.nearest.folder.name if reason.nearest else None
    return {
        "id": reason.cell.job.id, "cell": reason.cell.coordinates, "exists": reason.exists,
        "nearest": nearest, "keys": keys,
    }  # fmt: skip


def reason_lines(reason: Any) -> list[str]:
    """Return why a cell is new, for people."""
    name = f"{reason.cell.job.id} {reason.cell.label}".strip()
    if reason.exists:
        return [f"{name}: a run of it exists ({reason.run.status()})"]
    if reason.nearest is None:
        return [f"{name}: new; there is no run of kind {reason.cell.job.kind} yet"]
    lines = [f"{name}: new; the nearest run is {reason.nearest.folder.name}"]
    return [*lines, *(f"  {k}: {a!r} → {b!r}  ({place})" for k, a, b, place in reason.keys)]


def verified(run: store.Run) -> dict[str, Any]:
    """Verify a run; one that is not over has nothing that counts as a result."""
    status = run.status()
    if not store.is_proven(run) or status == "running":
        return {"run": run.folder.name, "result": "SKIPPED", "faults": [f"the run is {status}"]}
    faults = store.verify(run)
    return {"run": run.folder.name, "result": "FAIL" if faults else "PASS", "faults": faults}
