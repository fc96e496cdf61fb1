"""The job of the adapter lane: prepare, preflight, then window by window train, verify, publish."""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from thunder.backends.mlx import blas, lean
from thunder.ground import digest, folders, steps
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter import host_items, preflight, report, verify
from thunder.lanes.adapter.context import Context
from thunder.lanes.adapter.inputs import locate
from thunder.lanes.adapter.training import crew as crews
from thunder.lanes.adapter.training import ranks, state
from thunder.lanes.adapter.training.crew import Crew
from thunder.training import checkpoints, events, host_checks, metrics, placement, windows
from thunder.training import mirror as mirrors
from thunder.training.events import Emit
from thunder.training.mirror import Mirror
from thunder.training.placement import Slot
from thunder.training.preflight import Checks, Row
from thunder.training.progress import beating


def run(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Walk a run's windows up to the step that was asked for.

    Raises:
        ThunderError: with the cause class of what went wrong; what was verified before stays.
    """
    lean.without_torch()
    library = blas.load(Path(config["runtime"]["outputs"]) / folders.CACHE)
    emit(events.backend({"blas": library}))
    if library["warning"]:
        emit(events.warning(library["warning"]))
    context = Context(config, folder, locate(config, emit), folder / ".tokens")
    checks = Checks(context.host, lambda: emit(events.beat()))
    try:
        with ExitStack() as ways:
            slots, mirror = _checked(context, checks, library, ways, emit)
            with beating(emit):
                crew = ways.enter_context(crews.supplied(context, slots, mirror))
                host_items.note_inputs(context)
            return _walk(context, crew, checks.rows, emit)
    except ThunderError as error:
        with suppress(OSError):  # a full disk has no room for a report of it
            path = report.write_failed(context, checks.rows, _goal(config), error)
            emit(events.report(path))
        raise
    finally:
        shutil.rmtree(context.tokens, ignore_errors=True)


def _settled(context: Context, slot: Slot, emit: Emit) -> Mirror | None:
    """Have what a host of rank 0 has newer here, and what is newer here there."""
    mirror = mirrors.of(slot, context.folder, context.config["kind"], state.LAYOUT)
    for line in mirror.settle() if mirror else ():
        emit(events.note(line))
    return mirror


def _checked(
    context: Context, checks: Checks, library: Mapping[str, Any], ways: ExitStack, emit: Emit
) -> tuple[list[Slot], Mirror | None]:
    """Run the preflight and show it, as far as it came; returns the places of the ranks.

    Args:
        ways: keeps the ways to them open.
    """
    runtime, ranks = context.config["runtime"], context.config["train"]["ranks"]
    slots: list[Slot] = []
    mirror = None
    try:
        preflight.run(context, checks, library, emit)
        # A host that cannot be worked with is a row of the table, which has the others as well.
        if not (checks.causes and host_checks.far_ranks(context.config)):
            with beating(emit):
                opened = placement.opened(runtime["site"], ranks, runtime["reproduce"])
                slots = ways.enter_context(opened)
                mirror = _settled(context, slots[0], emit)
            preflight.meet(context, checks, slots)
    finally:
        emit(events.checks("preflight", checks.rows))
    preflight.refuse(checks)
    for warning in context.warnings:
        emit(events.warning(warning))
    return slots, mirror


def _walk(context: Context, crew: Crew, rows: list[Row], emit: Emit) -> dict[str, Any]:
    newest, _ = checkpoints.latest(context.folder, state.LAYOUT)
    start = newest.step if newest else 0
    goal = max(start, _goal(context.config))
    numbers: dict[str, float | None] = {}
    for stop in _stops(context, start, goal):
        numbers = _window(context, crew, rows, stop, emit)
    return {"metrics": numbers, "step": goal, "inputs": context.digests}


def _stops(context: Context, start: int, goal: int) -> list[int]:
    """Return where windows end: first one whose last step is on disk but was never verified."""
    window = context.config["runtime"]["window"]
    stops = windows.stops(start, goal, window)
    is_end = bool(start and window) and start % window == 0
    rows = metrics.rows(context.folder) if is_end and stops else []
    if rows and not any(row["step"] == start and "train_loss" in row for row in rows):
        return [start, *stops]
    return stops or [goal]


def _window(
    context: Context, crew: Crew, checks: list[Row], stop: int, emit: Emit
) -> dict[str, float | None]:
    """Train one window in processes of its own, verify it, publish it; returns its numbers."""
    request = _request(context, stop)
    emit(events.phase("train", f"window to step {stop}"))
    with beating(emit):
        crew.bring()
    ranks.train_window(request, emit, crew=crew)
    with beating(emit):
        copies = crew.fetch(stop)
    rows = verify.verify(request, stop, emit, crew, context.host)
    emit(events.checks(f"verification of step {stop}", rows))
    checkpoint = checkpoints.read(checkpoints.folder_of(context.folder, stop), state.LAYOUT)
    state.export(context.folder, checkpoint.folder)
    numbers = report.window_numbers(context.folder, checkpoint.record)
    row = {"step": stop, **numbers}
    if row not in metrics.rows(context.folder):  # one that ended right after it has left it there
        metrics.add(context.folder, row)
    with beating(emit):
        crew.bring()  # the row as well: what lies there lies here, too, when the window is over
    copies[context.host] = {
        name: digest.of_file(checkpoint.folder / name)
        for name in digest.visible_files(checkpoint.folder)
    }
    path = report.write(
        context, checks, verification=rows, numbers=numbers, record=checkpoint.record, copies=copies
    )
    # Last, when all that it stands for is on disk: the runner takes it into the record.
    emit(events.checkpoint(stop, checkpoint.folder, metrics=numbers, inputs=context.digests))
    emit(events.report(path))
    return numbers


def _request(context: Context, stop: int) -> ranks.Request:
    return ranks.Request(
        config=context.config,
        folder=str(context.folder),
        run_id=context.folder.name,
        stop=stop,
        model_folder=str(context.inputs.model),
        tokens=str(context.tokens),
        inputs=context.digests,
        stand_in=bool(context.inputs.stand_ins),
    )


def _goal(config: Mapping[str, Any]) -> int:
    return steps.goal(config) or 0
