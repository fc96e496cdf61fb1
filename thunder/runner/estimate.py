"""How long what is left will take, from the runs that are done; never a promise."""

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from thunder.ground import wording
from thunder.ground.errors import ThunderError
from thunder.jobs.kinds import KINDS
from thunder.runs import store
from thunder.runs.cells import Planned


def seconds_left(planned: Sequence[Planned], outputs: Path) -> list[float | None]:
    """Return for each planned cell the seconds it will take; None without a run to go by.

    The median of runs of the same model, data and schedule, else, step by step, of runs of the
    same model and data. A sanity run says nothing of a long one, a stand-in nothing of the model.
    """
    finished = _finished(outputs, {row.cell.job.kind for row in planned if not row.is_reached})
    return [0.0 if row.is_reached else _of_row(row, finished) for row in planned]


def text_of(seconds: Sequence[float | None], at_once: int) -> str:
    """Return the whole in words, for cells that run so many at once; nothing when none is known."""
    known = [value for value in seconds if value is not None]
    if not sum(known):
        return ""
    unknown = len(seconds) - len(known)
    rest = f", and {wording.count(unknown, 'run')} with nothing to go by" if unknown else ""
    return f"about {_spell(sum(known) / at_once)} to go{rest}"


def _of_row(row: Planned, finished: dict[str, list[float]]) -> float | None:
    if not finished:  # ten thousand cells are planned before the first of them has run
        return None
    job = row.cell.job
    keys = _keys(job.kind, job.document)
    rates = next((finished[key] for key in keys if key in finished), None)
    if rates is None:
        return None
    steps = 1 if job.goal is None else max(0, job.goal - row.begins_at)
    return statistics.median(rates) * steps


def _finished(outputs: Path, kinds: set[str]) -> dict[str, list[float]]:
    """Return seconds per step (per run, for kinds without steps) by likeness."""
    rates: dict[str, list[float]] = {}
    for run in store.all_runs(outputs) if kinds else []:
        if run.kind not in kinds:
            continue
        try:
            record, document = run.record(), run.document()
        except ThunderError:  # a folder that was tampered with tells nothing; `status` names it
            continue
        rate = _rate(record)
        if rate is not None:
            for key in _keys(run.kind, document):
                rates.setdefault(key, []).append(rate)
    return rates


def _rate(record: dict[str, Any]) -> float | None:
    spent = [attempt["seconds"] for attempt in record["attempts"]]
    if record["status"] != "done" or any(seconds is None for seconds in spent):
        return None
    return float(sum(spent)) / (record["total"] or 1)


def _keys(kind: str, document: dict[str, Any]) -> Iterator[str]:
    """Yield what runs that take as long have in common, the closest likeness first."""
    for names in KINDS[kind].timed_by:
        # Not the canonical form, which costs ten times as much: an estimate is no identity.
        alike = {name: document[name] for name in names if name in document}
        yield json.dumps([kind, alike], sort_keys=True)


def _spell(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
