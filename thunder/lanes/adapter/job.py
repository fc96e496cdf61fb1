"""The job of the adapter lane: prepare, preflight, then window by window train, verify, publish."""

import shutil
from collections.abc import Mapping
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
from thunder.training import checkpoints, events, metrics, windows
from thunder.training.events import Emit


def run(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Walk a run's windows up to the step that was asked for.

    Raises:
        ThunderError: with the cause class of what went wrong; what was verified before stays.
    """
    found = blas.load(Path(config["runtime"]["outputs"]) / "cache")
    emit(events.backend({"blas": found}))
    if found["warning"]:
        emit(events.warning(found["warning"]))
    inputs, tokens = locate(config, emit), folder / ".tokens"
    checks = Preflight(config, folder, inputs, tokens, lambda: emit(events.beat()))
    try:
        _check(checks, found, emit)
        return _walk(checks, emit)
    except ThunderError as error:
        with suppress(OSError):  # a full disk has no room for a report of it
            path = report.write_failed(checks, _goal(config), error)
            emit(events.report(path))
        raise
    finally:
        shutil.rmtree(checks.tokens, ignore_errors=True)


def _check(checks: Preflight, found: Mapping[str, Any], emit: Emit) -> None:
    """Run the preflight and show it, as far as it came."""
    try:
        preflight.run(checks, found)
    finally:
        emit(events.checks("preflight", checks.rows))
    preflight.refuse(checks)


def _walk(checks: Preflight, emit: Emit) -> dict[str, Any]:
    newest, _ = checkpoints.latest(checks.folder, state.LAYOUT)
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
    emit(events.phase("train", f"window to step {stop}"))
    ranks.train_window(request, emit)
    rows = verify.verify(request, stop, emit)
    emit(events.checks(f"verification of step {stop}", rows))
    checkpoint = checkpoints.read(checkpoints.folder_of(checks.folder, stop), state.LAYOUT)
    state.export(checks.folder, checkpoint.folder)
    numbers = report.metrics(checks.folder, checkpoint.record)
    metrics.add(checks.folder, {"step": stop, **numbers})
    path = report.write(checks, rows, numbers, checkpoint.record)
    # Last, when all that it stands for is on disk: the runner takes it into the record.
    emit(events.checkpoint(stop, checkpoint.folder, metrics=numbers, inputs=checks.digests))
    emit(events.report(path))
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
