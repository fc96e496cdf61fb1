"""The job of the ASR lane: gather, train or go on, check that something was learnt, evaluate."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from thunder.backends.torch import machine
from thunder.backends.torch.machine import Machine
from thunder.backends.torch.peers import Peers
from thunder.ground import wording
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import artifacts, row_faults
from thunder.lanes.asr.evaluation import evaluate
from thunder.lanes.asr.material import Material, gather
from thunder.lanes.asr.training import batches, epoch, loop, ranks, state
from thunder.lanes.asr.training.learner import on_device
from thunder.lanes.asr.training.state import Saved
from thunder.training import events
from thunder.training.events import Emit
from thunder.training.progress import written

SMOKE_ROWS = 32
MOST_BLANK = 0.98  # of the posterior; a model that has learnt something stays well below


def run(config: dict[str, Any], folder: Path, emit: Emit) -> dict[str, Any]:
    """Train one cell of the bundle and evaluate it; a run that was cut goes on where it was.

    Raises:
        ThunderError: with the cause class of what went wrong; what was saved stays.
    """
    emit = written(emit)
    material = gather(config, folder, emit)
    for text in row_faults.sentences(material.counts):
        emit(events.warning(text))
    before = state.load(folder, state.about(material))
    if before is not None:  # its weights are read again where they are needed
        before = replace(before, model={}, optimizer={})
    chosen = machine.choose(config, threads=before.threads if before else None)
    machine.prepare(chosen)
    emit(events.backend(machine.described(chosen)))
    with machine.memory():
        saved = _trained(material, folder, chosen, before, emit)
        best, why = saved.standing.best_epoch, saved.stopped
        message = f"training ended after epoch {saved.epoch} ({why}); epoch {best} is evaluated"
        emit(events.note(message))
        model = state.load_best(folder, material, saved.standing.best_epoch).to(chosen.device)
        check_not_blank(model, material, chosen)
        metrics = evaluate.run(material, model, chosen, _summary(chosen, saved), folder, emit)
    return {"metrics": metrics, "step": None, "inputs": material.digests}


def check_not_blank(model: nn.Module, material: Material, chosen: Machine) -> None:
    """Refuse a model that says blank everywhere.

    Features of a layout that the model was not meant for load without a word and give nothing but
    blanks; so does a model that has learnt nothing. Where characters are so rare that
    honest posteriors are nearly all blank, the bound lies between that share and one.
    """
    valid = material.splits["valid"]
    store, rows = material.store, np.flatnonzero(valid.fits)[:SMOKE_ROWS]
    batch = batches.collate(store, valid, rows, epoch.window(material))
    with torch.no_grad(), chosen.autocast():
        output = model(*on_device(batch, chosen))
    inside = torch.arange(output.log_probs.shape[1], device=chosen.device) < output.lengths[:, None]
    mass = float(output.log_probs[..., material.vocabulary.blank].exp()[inside].mean())
    characters = float(batch.target_lengths.sum() / output.lengths.sum())
    most = max(MOST_BLANK, 1 - characters / 2)
    if not mass < most:
        raise ThunderError(
            f"after training, {mass:.1%} of the posterior over {len(rows)} validation rows is "
            f"blank (at most {most:.1%}): nothing was learnt. Are the features what they say? "
            f"The store says layout {store.layout!r}, {store.rate_hz:g} Hz; frames "
            "that were downsampled twice give exactly this, and no key of a state dict is missing",
            "training",
        )


def _trained(
    material: Material, folder: Path, chosen: Machine, before: Saved | None, emit: Emit
) -> Saved:
    config = material.config
    if before is None or not before.stopped:
        most = config["train"]["epochs"]
        rows = wording.count(int(material.splits["train"].fits.sum()), "utterance")
        message = f"epoch {before.epoch + 1 if before else 1} of at most {most}, {rows}"
        emit(events.phase("train", message))
    if before and not before.stopped and before.precisions[-1] != chosen.precision:
        message = f"begun in {before.precisions[-1]}, goes on in {chosen.precision}: other bits"
        emit(events.warning(message))
    if config["train"]["ranks"] == 1 or (before and before.stopped):
        return loop.train(material, folder, chosen, Peers(), emit)
    ranks.train(config, folder, before.threads if before else None, emit)
    saved = state.load(folder, state.about(material))
    if saved is None or not saved.stopped:
        raise ThunderError(
            f"{folder / artifacts.LAST}: the ranks ended before training was over", "ranks"
        )
    return saved


def _summary(chosen: Machine, saved: Saved) -> Mapping[str, Any]:
    """Return what results.json says of the training."""
    seconds = sum(row["seconds"] for row in saved.history)
    paces = [row["utterances_per_second"] for row in saved.history]
    return {
        "epochs_trained": saved.epoch,
        "best_epoch": saved.standing.best_epoch,
        "best_val_loss": saved.standing.best_loss,
        "stopped_because": saved.stopped,
        "nan_batches": sum(row["nonfinite"] for row in saved.history),
        "train_seconds": seconds,
        "utterances_per_second": sum(paces) / len(paces),
        "device": chosen.name,
        "precision": " then ".join(saved.precisions),
    }
