"""What `cuda.py` checks: that a device agrees with the CPU, and that a killed run goes on."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import generated
import torch
from generated import Place
from ways import silent

from thunder.backends.torch import machine
from thunder.backends.torch.machine import Machine
from thunder.backends.torch.peers import Peers
from thunder.ground import files
from thunder.lanes.asr import artifacts
from thunder.lanes.asr.evaluation import evaluate
from thunder.lanes.asr.kind import KINDS
from thunder.lanes.asr.material import Material
from thunder.lanes.asr.training import batches, loop, state
from thunder.lanes.asr.training.learner import Outcome

CHILD = ("-c", "from thunder.executors.child import serve; serve()")
LOSS_ROWS = 8
PREDICTIONS = artifacts.predictions("test")
NUMBERS = ("avg_logp", "mean_maxp", "mean_entropy", "blank_mass", "edge_pressure")

# By precision: how far from the CPU's float32 a loss, a gradient's norm and a row's numbers may
# be, and the share of texts that must be the same. cuDNN convolves float32 in TF32, of 10 bits.
ALLOWED = {
    "float32": {"loss": 1e-3, "gradient_norm": 1e-2, "row": 0.02, "same_texts": 0.98},
    "bfloat16": {"loss": 2e-2, "gradient_norm": 0.1, "row": 0.2, "same_texts": 0.8},
}
# CTC's gradient on CUDA is summed in no fixed order, so equal bits are promised on a CPU alone.
RESUMED_LOSS = 0.05  # nats a letter


def agreement(place: Place, seconds: float) -> dict[str, Any]:
    """Compare loss, gradient and dumps of this device with those of the CPU in float32."""
    figures = {"loss": _losses(place), "dumps": _dumps(place), "allowed": ALLOWED}
    return {**figures, "failed": "; ".join(_disagreements(figures)) or None}


def resume(place: Place, seconds: float) -> dict[str, Any]:
    """Kill a run after its first saved epoch, run it again, and compare it with one left alone."""
    settings = generated.config(place)
    whole = generated.run_folder(place.folder / "whole", settings)
    cut = generated.run_folder(place.folder / "cut", settings)
    _run_to_end(whole)
    killed_after = _run_and_kill(cut)
    resumed = _run_to_end(cut)
    figures = _compared(whole, cut) | {
        "epochs": settings["train"]["epochs"],
        "saved_epochs_when_killed": killed_after,
        "epochs_after_resuming": resumed,
        "device": files.read_json(cut / artifacts.RESULTS)["device"],
    }
    return {**figures, "failed": _not_resumed(figures)}


def _machines(settings: Mapping[str, Any]) -> dict[str, Machine]:
    """Return the CPU in float32, and this machine's device in each precision."""
    chosen = machine.choose(settings)
    cpu = Machine(torch.device("cpu"), "float32", chosen.threads)
    return {"cpu": cpu, **{name: replace(chosen, precision=name) for name in ALLOWED}}


def _losses(place: Place) -> dict[str, Any]:
    """Return loss and gradient of one step of the anchor's size, without dropout."""
    settings = generated.config(place, "anchor", model__dropout=0.0)
    one = generated.material(settings, place.folder / "agreement_loss")
    steps = {name: _step(one, at) for name, at in _machines(settings).items()}
    rows = {name: {"loss": o.loss, "gradient_norm": o.gradient_norm} for name, o in steps.items()}
    for name in ALLOWED:
        rows[name] |= {
            f"{key}_apart": abs(rows[name][key] / rows["cpu"][key] - 1)
            for key in ("loss", "gradient_norm")
        }
    return rows


def _step(one: Material, at: Machine) -> Outcome:
    machine.prepare(at)
    learner = loop.learner_of(one, at, Peers(), None)
    train = one.splits["train"]
    rows = batches.evaluation(train.frames, LOSS_ROWS)[len(train.ids) // LOSS_ROWS // 2]
    return learner.advance(0, batches.collate(one.store, train, rows, None), None, len(rows))


def _dumps(place: Place) -> dict[str, Any]:
    """Train the small model here, then evaluate it on the CPU and here, in every mode's ways."""
    settings = generated.config(place, mode="trajectory_ttt")
    folder = place.folder / "agreement"
    one = generated.material(settings, folder)
    chosen = machine.choose(settings)
    machine.prepare(chosen)
    saved = loop.train(one, folder, chosen, Peers(), silent)
    dumped = {
        name: _evaluated(one, saved, folder, name, at) for name, at in _machines(settings).items()
    }
    return {name: _apart(dumped["cpu"], rows) for name, rows in dumped.items() if name != "cpu"}


def _evaluated(
    one: Material, saved: state.Saved, folder: Path, name: str, at: Machine
) -> list[dict[str, Any]]:
    to = folder / name
    to.mkdir()
    machine.prepare(at)
    best = saved.standing.best_epoch
    training = {
        "epochs_trained": saved.epoch,
        "best_epoch": best,
        "best_val_loss": saved.standing.best_loss,
        "stopped_because": saved.stopped,
        "nan_batches": 0,
        "train_seconds": 1.0,
        "utterances_per_second": 1.0,
        "device": at.name,
        "precision": at.precision,
    }
    model = state.load_best(folder, one, best).to(at.device)
    evaluate.run(one, model, at, training, to, silent)
    dumps = (PREDICTIONS, *(artifacts.predictions("test", f"_{end}") for end in _OTHERS))
    return [row for dump in dumps for row in files.read_jsonl(to / dump)]


_OTHERS = ("ttt_off", "ttt_shuffled", "suta")


def _apart(expected: list[dict[str, Any]], rows: list[dict[str, Any]]) -> dict[str, Any]:
    pairs = list(zip(expected, rows, strict=True))
    return {
        "rows": len(rows),
        "same_texts": sum(a["asr_text"] == b["asr_text"] for a, b in pairs) / len(pairs),
        "same_partitions": sum(a["partition"] == b["partition"] for a, b in pairs) / len(pairs),
        "cer": _cer(rows),
        "cer_apart": abs(_cer(expected) - _cer(rows)),
        "row_apart": max(abs(a[name] - b[name]) for a, b in pairs for name in NUMBERS[:-1]),
        "edge_pressure_apart": max(abs(a[NUMBERS[-1]] - b[NUMBERS[-1]]) for a, b in pairs),
    }


def _cer(rows: list[dict[str, Any]]) -> float:
    edits = sum(row["cer_edits"] for row in rows)
    return float(edits / sum(row["reference_chars"] for row in rows))


def _disagreements(figures: Mapping[str, Any]) -> Iterator[str]:
    for name, allowed in ALLOWED.items():
        loss, dump = figures["loss"][name], figures["dumps"][name]
        for key in ("loss", "gradient_norm"):
            if not loss[f"{key}_apart"] <= allowed[key]:
                yield f"{name}: {key} {loss[key]:g}, on the CPU {figures['loss']['cpu'][key]:g}"
        if not dump["row_apart"] <= allowed["row"]:
            yield f"{name}: a row's numbers are {dump['row_apart']:g} apart"
        if not dump["same_texts"] >= allowed["same_texts"]:
            yield f"{name}: {dump['same_texts']:.1%} of the texts are the same"


def _run_to_end(folder: Path) -> int:
    """Run a run folder to its end; return how many epochs it validated."""
    with _child(folder) as events:
        seen = list(events)
    ends = [event for event in seen if event["event"] in ("result", "error")]
    if not ends or ends[-1]["event"] == "error":
        told = ends[-1]["message"] if ends else "its process ended without a word"
        raise RuntimeError(f"{folder}: {told}")
    return sum(event["event"] == "valid" for event in seen)


def _run_and_kill(folder: Path) -> int:
    """Run a run folder and kill it, with signal 9, when an epoch is saved; return which."""
    with _child(folder) as events:
        next((event for event in events if event["event"] == "valid"), None)
    if (folder / artifacts.RESULTS).exists():
        raise RuntimeError(f"{folder}: the run was over before it was killed")
    return int(torch.load(folder / artifacts.LAST, weights_only=True)["epoch"])


@contextmanager
def _child(folder: Path) -> Iterator[Iterator[dict[str, Any]]]:
    """Start the process of a run and give its events; at the end of the block it is killed."""
    root = Path(__file__).resolve().parent.parent
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    read_end, write_end = os.pipe()
    command = [sys.executable, *CHILD, str(folder), KINDS["asr"].function, str(write_end)]
    with (folder / "run.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # its lifeline: when this process is gone, it goes
            stdout=log,
            stderr=log,
            pass_fds=(write_end,),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    os.close(write_end)
    try:
        with os.fdopen(read_end, encoding="utf-8") as stream:
            yield map(json.loads, stream)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _compared(whole: Path, cut: Path) -> dict[str, Any]:
    left, again = (list(files.read_jsonl(folder / "metrics.jsonl")) for folder in (whole, cut))
    weights = [torch.load(f / artifacts.LAST, weights_only=True)["model"] for f in (whole, cut)]
    apart = max(float((weights[0][k] - weights[1][k]).abs().max()) for k in weights[0])
    dumps = [(folder / PREDICTIONS).read_bytes() for folder in (whole, cut)]
    scores = [files.read_json(folder / artifacts.RESULTS)["test_cer"] for folder in (whole, cut)]
    return {
        "rows_of_metrics": [len(left), len(again)],
        "valid_loss": [left[-1]["valid_loss"], again[-1]["valid_loss"]],
        "valid_loss_apart": abs(again[-1]["valid_loss"] - left[-1]["valid_loss"]),
        "test_cer": scores,
        "weights_apart": apart,
        "same_dump": dumps[0] == dumps[1],
    }


def _not_resumed(figures: Mapping[str, Any]) -> str | None:
    epochs, killed = figures["epochs"], figures["saved_epochs_when_killed"]
    if not 1 <= killed < epochs:
        return f"it was killed after {killed} of {epochs} epochs, not between them"
    if figures["epochs_after_resuming"] != epochs - killed:
        return f"{figures['epochs_after_resuming']} epochs were trained after epoch {killed}"
    if figures["rows_of_metrics"] != [epochs, epochs]:
        return f"metrics.jsonl has {figures['rows_of_metrics']} rows, not {epochs}"
    if figures["device"] == "cpu" and (figures["weights_apart"] or not figures["same_dump"]):
        return "on a CPU the bits must be the same, and they are not"
    if not figures["valid_loss_apart"] <= RESUMED_LOSS:
        return f"the validation losses {figures['valid_loss']} are over {RESUMED_LOSS} apart"
    return None
