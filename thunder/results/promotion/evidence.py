"""What a promotion rests on, as plain data: runs, numbers with intervals, words, machines."""

import json
from collections.abc import Sequence
from typing import Any

from thunder.ground import digest, run_files
from thunder.results.promotion import support
from thunder.results.promotion.candidates import Candidate, needs_of
from thunder.runs import manifest


def run(one: Candidate) -> dict[str, Any]:
    """Return one run: how it was made, what it read, what it measured."""
    record = one.record or {}
    last, path = record["attempts"][-1], one.run.folder / run_files.MANIFEST
    artifacts = manifest.listed(one.run.folder, one.run.id).values()
    return {
        "run": one.name,
        "label": one.label,
        "kind": one.run.kind,
        "id": one.run.id,
        "cell": dict(one.coordinates),
        "needed_by": list(dict.fromkeys(one.needed_by)),
        "needs": needs_of(one),
        "profile": record["profile"],
        "status": one.run.status(record),
        "step": record["step"],
        "goal": one.goal,
        "total": record["total"],
        "inputs": dict(record["inputs"]),
        "metrics": _metrics(one),
        "commits": list(dict.fromkeys(a["provenance"]["commit"] for a in record["attempts"])),
        "attempts": len(record["attempts"]),
        "started": record["attempts"][0]["started"],
        "ended": last["ended"],
        "command": last["runtime"]["command"],
        "reproduce": last["runtime"]["reproduce"],
        "manifest_sha256": digest.of_file(path),
        "files": len(artifacts),
        "bytes": sum(artifact["bytes"] for artifact in artifacts),
    }


def environments(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Return the machines, devices and package versions, each with its runs."""
    by_content: dict[str, dict[str, Any]] = {}
    for one in candidates:
        for attempt in (one.record or {})["attempts"]:
            provenance = attempt["provenance"]
            here = {
                "host": provenance["host"],
                "backend": attempt["backend"],
                "versions": provenance["versions"],
            }
            row = by_content.setdefault(json.dumps(here, sort_keys=True), {**here, "runs": {}})
            row["runs"][one.name] = None
    return [{**row, "runs": list(row["runs"])} for row in by_content.values()]


def definitions(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Return what runs mean by the words of their modes, each with its runs."""
    meant: dict[tuple[str, str], list[str]] = {}
    for one in candidates:
        for definition in support.of_kind(one.run.kind).definitions(one):
            meant.setdefault(definition, []).append(one.name)
    return [
        {"word": word, "meaning": meaning, "runs": list(dict.fromkeys(runs))}
        for (word, meaning), runs in sorted(meant.items())
    ]


def _metrics(one: Candidate) -> list[dict[str, Any]]:
    """Return the numbers of a run; those at its goal where a longer job goes on."""
    record = one.record or {}
    is_window = one.goal is not None and one.goal != record["step"]
    metrics = one.run.at_step(one.goal or 0) if is_window else one.run.metrics()
    numbers, intervals = support.of_kind(one.run.kind).numbers(one, metrics)
    rows = []
    for name, value in sorted(numbers.items()):
        low, high = intervals.get(name) or (None, None)
        rows.append({"name": name, "value": value, "low": low, "high": high})
    return [row for row in rows if row["name"] != "step"]
