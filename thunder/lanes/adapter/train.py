"""The job of the adapter lane: prepare, preflight, then window by window train, verify, publish."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from thunder import files
from thunder.lanes.adapter import blas, corpus, preflight, ranks, report, state, verify, windows
from thunder.lanes.adapter.inputs import Inputs, locate

Emit = Callable[[dict[str, Any]], None]


def run(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Walk a run's windows up to the step that was asked for.

    Raises:
        ThunderError: with the cause class of what went wrong; what was verified before stays.
    """
    cache = Path(config["runtime"]["outputs"]) / "cache"
    found = blas.load(cache)
    emit({"event": "backend", "backend": {"blas": found}})
    if found["warning"]:
        emit({"event": "warning", "text": found["warning"]})
    inputs = locate(config, emit)
    tokens = folder / ".tokens"
    try:
        checks = preflight.run(config, inputs, folder, tokens, found)
        emit({"event": "checks", "title": "preflight", "rows": checks.rows})
        preflight.refuse(checks)
        digests = {"model": _model_digest(config, inputs), "data": corpus.digest(inputs.data)}
        return _walk(config, folder, inputs, digests, checks, tokens, emit)
    finally:
        shutil.rmtree(tokens, ignore_errors=True)


def _walk(
    config: Mapping[str, Any],
    folder: Path,
    inputs: Inputs,
    digests: Mapping[str, str],
    checks: preflight.Preflight,
    tokens: Path,
    emit: Emit,
) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    newest, _ = state.latest(folder)
    start, goal = (newest.step if newest else 0), _goal(config)
    for stop in windows.stops(start, goal, config["runtime"]["window"]) or [goal]:
        request = ranks.Request(
            config=config,
            folder=str(folder),
            run_id=folder.name,
            stop=stop,
            model_folder=str(inputs.model),
            tokens=str(tokens),
            inputs=digests,
            stand_in=bool(inputs.stand_ins),
        )
        emit({"event": "phase", "name": "train", "text": f"window to step {stop}"})
        ranks.train_window(request, lambda event: _pass_on(event, emit))
        rows = verify.verify(request, stop, emit)
        emit({"event": "checks", "title": f"verification of step {stop}", "rows": rows})
        checkpoint = state.read(state.folder_of(folder, stop))
        state.export(folder, checkpoint.folder)
        metrics = report.metrics(folder, checkpoint.record)
        files.append_jsonl(folder / state.METRICS, {"step": stop, **metrics})
        emit({"event": "checkpoint", "step": stop, "path": str(checkpoint.folder)})
        path = report.write(
            config, folder, inputs, digests, checks, rows, metrics, checkpoint.record
        )
        emit({"event": "report", "path": str(path)})
    return {"metrics": metrics, "step": goal, "inputs": dict(digests)}


def _goal(config: Mapping[str, Any]) -> int:
    runtime, total = config["runtime"], config["train"]["steps"]
    return int(min(runtime["target"] or runtime["window"] or total, total))


def _pass_on(event: dict[str, Any], emit: Emit) -> None:
    # To the runner a checkpoint is a verified one; what a rank saves on the way is news at most.
    if event["event"] == "checkpoint":
        emit({"event": "note", "text": f"saved step {event['step']}"})
    else:
        emit(event)


def _model_digest(config: Mapping[str, Any], inputs: Inputs) -> str:
    """Return the digest of the model's content, or of what stands for it without reading gigabytes."""
    from thunder import digest
    from thunder.lanes.adapter import model_folder

    source = config["model"]["source"]
    if "digest" in source:
        return str(source["digest"])
    if "hub" in source:
        return digest.of_value({"hub": source["hub"], "commit": source["commit"]})
    return model_folder.digest(inputs.model)
