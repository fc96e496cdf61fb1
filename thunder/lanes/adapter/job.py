"""The job of the adapter lane: prepare, preflight, then window by window train, verify, publish."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from thunder.backends.mlx import blas
from thunder.ground import steps
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter import preflight, report, verify
from thunder.lanes.adapter.inputs import locate
from thunder.lanes.adapter.preflight import Preflight
from thunder.lanes.adapter.training import ranks, state
from thunder.training import windows

Emit = Callable[[dict[str, Any]], None]


def run(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Walk a run's windows up to the step that was asked for.

    Raises:
        ThunderError: with the cause class of what went wrong; what was verified before stays.
    """
    found = blas.load(Path(config["runtime"]["outputs"]) / "cache")
    emit({"event": "backend", "backend": {"blas": found}})
    if found["warning"]:
        emit({"event": "warning", "text": found["warning"]})
    inputs, tokens = locate(config, emit), folder / ".tokens"
    checks = Preflight(config, folder, inputs, tokens, lambda: emit({"event": "beat"}))
    try:
        _check(checks, found, emit)
        return _walk(checks, emit)
    except ThunderError as error:
        with suppress(OSError):  # a full disk has no room for a report of it
            path = report.write_failed(checks, _goal(config), error)
            emit({"event": "report", "path": str(path)})
        raise
    finally:
        shutil.rmtree(checks.tokens, ignore_errors=True)


def _check(checks: Preflight, found: Mapping[str, Any], emit: Emit) -> None:
    """Run the preflight and show it, as far as it came."""
    try:
        preflight.run(checks, found)
    finally:
        emit({"event": "checks", "title": "preflight", "rows": checks.rows})
    preflight.refuse(checks)


def _walk(checks: Preflight, emit: Emit) -> dict[str, Any]:
    newest, _ = state.latest(checks.folder)
    start = newest.step if newest else 0
    goal = max(start, _goal(checks.config))
    numbers: dict[str, float | None] = {}
    # A window whose last step is on disk but was never verified is still to be finished.
    for stop in windows.stops(start, goal, checks.config["runtime"]["window"]) or [goal]:
        numbers = _window(checks, stop, emit)
    return {"metrics": numbers, "step": goal, "inputs": checks.digests}


def _window(checks: Preflight, stop: int, emit: Emit) -> dict[str, float | None]:
    """Train one window in processes of its own, verify it, publish it; returns its numbers."""
    request = _request(checks, stop)
    emit({"event": "phase", "name": "train", "text": f"window to step {stop}"})
    ranks.train_window(request, lambda event: _pass_on(event, emit))
    rows = verify.verify(request, stop, emit)
    emit({"event": "checks", "title": f"verification of step {stop}", "rows": rows})
    checkpoint = state.read(state.folder_of(checks.folder, stop))
    state.export(checks.folder, checkpoint.folder)
    numbers = report.metrics(checks.folder, checkpoint.record)
    state.note(checks.folder, {"step": stop, **numbers})
    path = report.write(checks, rows, numbers, checkpoint.record)
    # Last, when all that it stands for is on disk: the runner takes it into the record.
    found = {"step": stop, "metrics": numbers, "inputs": checks.digests}
    emit({"event": "checkpoint", "path": str(checkpoint.folder), **found})
    emit({"event": "report", "path": str(path)})
    return numbers


def _request(checks: Preflight, stop: int) -> ranks.Request:
    return ranks.Request(
        config=checks.config,
        folder=str(checks.folder),
        run_id=checks.folder.name,
        stop=stop,
        model_folder=str(checks.inputs.model),
        tokens=str(checks.tokens),
        inputs=checks.digests,
        stand_in=bool(checks.inputs.stand_ins),
    )


def _goal(config: Mapping[str, Any]) -> int:
    return steps.goal(config) or 0


def _pass_on(event: dict[str, Any], emit: Emit) -> None:
    # To the runner a checkpoint is a verified one; what a rank saves on the way is news at most.
    if event["event"] == "checkpoint":
        emit({"event": "note", "text": f"saved step {event['step']}"})
    else:
        emit(event)
