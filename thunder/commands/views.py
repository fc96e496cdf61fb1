"""What the tasks show of runs, cells and reasons: plain data for scripts, lines for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from thunder.ground import wording
from thunder.ground.errors import ThunderError
from thunder.ground.steps import way
from thunder.jobs.kinds import KINDS
from thunder.runs import reading, store
from thunder.runs.run import ABSENT, Run, spelt

_SHOWN_CELLS = 20
_DIGITS = 6


def planned_json(row: Any) -> dict[str, Any]:
    """Return a planned cell for scripts."""
    job = row.cell.job
    return {
        "run": row.run.folder.name,
        "kind": job.kind,
        "label": row.cell.label or job.runtime["profile"],
        "cell": row.cell.coordinates,
        "status": row.status,
        "on": None if row.status != "running" else row.run.lives_on(),
        "step": row.step,
        "saved": row.saved,
        "goal": job.goal,
        "steps": row.way,
        "reached": row.is_reached,
        "stand_in": job.is_stand_in,
        "lacks": lacks(row.run),
        "folder": str(row.run.folder.absolute()),
        "fault": row.fault,
    }


def run_json(run: Run) -> dict[str, Any]:
    """Return a run for scripts; one whose record cannot be read is shown, and why."""
    so_far, label = reading.of(run, None), ""
    if so_far.fault is None:
        try:
            label = _label(run, so_far.record)
        except ThunderError as error:
            so_far = reading.unreadable(run, None, str(error))
    record, is_readable = so_far.record, so_far.fault is None
    return {
        "run": run.folder.name, "kind": run.kind, "label": label,
        "status": so_far.status, "step": so_far.step,
        "on": None if so_far.status != "running" else run.lives_on(),
        "saved": record.get("saved"), "total": record.get("total"),
        "steps": steps(record) if is_readable else "", "stand_in": record.get("stand_in"),
        "lacks": lacks(run) if is_readable else [],
        "folder": str(run.folder.absolute()), "fault": so_far.fault,
    }  # fmt: skip


def _label(run: Run, record: Mapping[str, Any]) -> str:
    """Return what a run is: its profile, and what tells its cells apart where a kind has cells."""
    keys, document = KINDS[run.kind].told_by, run.document()
    return " ".join([record["profile"] or "", *(f"{key}={document[key]}" for key in keys)]).strip()


def lacks(run: Run) -> list[str]:
    """Return which artifacts of its kind a run has not got."""
    return [name for name in KINDS[run.kind].artifacts if not (run.folder / name).is_file()]


_AT_NEED = ("on", "lacks")


def status_columns(rows: Sequence[dict[str, Any]]) -> str:
    """Return how far runs are, for people; a stand-in is marked as tables mark it."""
    shown = {
        "id": [row["run"] for row in rows],
        "kind": [row["kind"] for row in rows],
        "what": [_marked(row) for row in rows],
        "status": [row["status"] for row in rows],
        "step": [row["steps"] for row in rows],
        "on": [row.get("on") or "" for row in rows],
        "lacks": [lacks_text(row) for row in rows],
    }
    needed = {head: cells for head, cells in shown.items() if any(cells) or head not in _AT_NEED}
    return wording.columns([*needed], [list(cells) for cells in zip(*needed.values(), strict=True)])


def _marked(row: dict[str, Any]) -> str:
    return f"{row['label']} {wording.STAND_IN if row['stand_in'] else ''}".strip()


def lacks_text(row: dict[str, Any]) -> str:
    """Return what a row lacks, as short as it can be said; one that goes on lacks nothing."""
    if row["status"] == "running":
        return ""
    whole = KINDS[row["kind"]].artifacts
    missing = row["lacks"]
    return f"all {len(whole)} files" if len(missing) == len(whole) > 1 else " ".join(missing)


def steps(record: Mapping[str, Any]) -> str:
    """Return how far a record is."""
    if record["total"] is None:
        return ""
    saved = f", saved {record['saved']}" if "saved" in record else ""
    return f"step {record['step'] or 0} of {record['total']}{saved}"


def reason_json(reason: Any) -> dict[str, Any]:
    """Return why a cell is new, for scripts."""
    keys = [_present(key=k, old=a, new=b, place=place) for k, a, b, place in reason.keys]
    nearest = reason.nearest.folder.name if reason.nearest else None
    return {
        "id": reason.cell.job.id, "cell": reason.cell.coordinates, "exists": reason.exists,
        "nearest": nearest, "keys": keys,
    }  # fmt: skip


def difference_json(key: str, first: Any, second: Any) -> dict[str, Any]:
    """Return a key in which two runs differ, for scripts; a side that lacks it has no entry."""
    return _present(key=key, first=first, second=second)


def _present(**entries: Any) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if value is not ABSENT}


def reason_lines(reason: Any) -> list[str]:
    """Return why a cell is new, for people."""
    name = f"{reason.cell.job.id} {reason.cell.label}".strip()
    if reason.exists:
        status = reading.of(reason.run, reason.cell.job.goal).status
        return [f"{name}: a run of it exists ({status})"]
    if reason.nearest is None:
        return [f"{name}: new; there is no run of kind {reason.cell.job.kind} yet"]
    lines = [f"{name}: new; the nearest run is {reason.nearest.folder.name}"]
    return [
        *lines,
        *(f"  {k}: {spelt(a)} → {spelt(b)}  ({place})" for k, a, b, place in reason.keys),
    ]


def change_lines(changed: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return what an edit of a matrix adds, keeps and orphans, for people."""
    lines = []
    for word, cells in changed.items():
        lines.append(f"since the last plan: {len(cells)} {word}")
        # Where nothing is kept, what is added is the whole plan, which stands above.
        is_told = word == "kept" or (word == "added" and not changed["kept"])
        named = [] if is_told else wording.some_lines([*map(_cell_text, cells)], _SHOWN_CELLS)
        lines += [f"  {line}" for line in named]
    return lines


def _cell_text(cell: dict[str, Any]) -> str:
    point = " ".join(f"{key}={value}" for key, value in cell["cell"].items())
    return f"{cell['id']}  {point}"


def verified(run: Run) -> dict[str, Any]:
    """Verify a run; one that is not over has nothing that counts as a result."""
    so_far = reading.of(run, None)
    faults = [] if so_far.fault is None else [so_far.fault]
    is_over = so_far.status not in ("running", "lost")
    if not faults and not (is_over and store.has_manifest(run)):
        faults = [f"the run is {so_far.status}"]
        return {"run": run.folder.name, "result": "SKIPPED", "faults": faults}
    faults = faults or store.verify(run)
    return {"run": run.folder.name, "result": "FAIL" if faults else "PASS", "faults": faults}


def attempt_lines(record: dict[str, Any], status: str) -> list[str]:
    """Return the attempts of a run; one that nobody ended, and nobody works on, was lost."""
    lines = []
    for attempt in record["attempts"]:
        is_last = attempt is record["attempts"][-1]
        shown = attempt["status"]
        if shown == "running":
            shown = status if is_last else "lost"
        goal = attempt["to_step"]
        way = "" if goal is None else f"  {_way(attempt, record['total'])}"
        lines.append(f"attempt  {attempt['number']}  {attempt['started']}  {shown}{way}")
        if attempt["error"]:
            lines += _error_lines(attempt["error"], is_last=is_last)
    return lines


def _way(attempt: Mapping[str, Any], total: int) -> str:
    return way(attempt["from_step"], attempt["to_step"], total, attempt["runtime"]["window"])


def metric_rows(metrics: Mapping[str, float | None]) -> list[list[str]]:
    """Return the numbers of a run for people, to as many digits as can be meant."""
    return [[name, _number(value)] for name, value in sorted(metrics.items())]


def _number(value: float | None) -> str:
    if not isinstance(value, float):
        return spelt(value)
    return f"{value:.0f}" if abs(value) >= 10**_DIGITS else f"{value:.{_DIGITS}g}"


def _error_lines(error: dict[str, Any], *, is_last: bool) -> list[str]:
    first, *rest = error["message"].splitlines() or [""]
    lines = [f"         {error['cause']}: {first}", *(f"           {line}" for line in rest)]
    if is_last:
        lines += [f"log      {line}" for line in error["last_lines"]]
        lines += [f"again    {error['reproduce']}"] if error["reproduce"] else []
    return lines
