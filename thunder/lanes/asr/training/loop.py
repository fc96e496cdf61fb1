"""One epoch after another, on one rank or many: train, validate, decide, save."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from thunder.backends.torch.machine import Machine
from thunder.backends.torch.peers import Peers
from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import artifacts
from thunder.lanes.asr.model import ctc
from thunder.lanes.asr.training import chance, epoch, state, stopping, validation
from thunder.lanes.asr.training.learner import Learner
from thunder.lanes.asr.training.state import Saved
from thunder.lanes.asr.training.validation import Validated
from thunder.training import events
from thunder.training.events import Emit
from thunder.training.progress import Throttle

if TYPE_CHECKING:
    from thunder.lanes.asr.material import Material

PATIENCE, EPOCHS = "patience", "epochs"  # why training stops


@dataclass(frozen=True)
class Run:
    """What every part of the loop needs."""

    material: "Material"
    folder: Path
    machine: Machine
    peers: Peers
    emit: Emit
    learner: Learner


def train(material: "Material", folder: Path, machine: Machine, peers: Peers, emit: Emit) -> Saved:
    """Train from where the folder's last.pt stands to the end, and return how it ended.

    Raises:
        ThunderError: too many losses that are not finite, a validation loss that is not, or
            replicas that differ, with the cause `training`; what is on disk stays.
    """
    about = state.about(material)
    saved = state.load(folder, about)
    if saved is not None and peers.leads:
        state.settle(folder, saved, about)
    if saved is not None and saved.stopped:
        return saved
    run = Run(material, folder, machine, peers, emit, learner_of(material, machine, peers, saved))
    _log(run, _opening(run, saved))
    while saved is None or not saved.stopped:
        number = saved.epoch + 1 if saved else 1
        row, validated = _epoch(run, number, saved)
        saved = _advanced(run, row, validated, saved)
        if peers.leads:
            state.save(folder, saved, about)
            _tell(run, saved)
        peers.wait()  # so that no rank goes on past an epoch that could not be saved
    return saved


def learner_of(
    material: "Material", machine: Machine, peers: Peers, saved: Saved | None
) -> Learner:
    """Return a model and its optimizer: new ones, the same on every rank, or as they were saved."""
    config = material.config
    torch.manual_seed(chance.torch_seed(config["seed"], 0))
    model = ctc.build(config, material.store.dims, len(material.vocabulary.tokens))
    learner = Learner(
        model.to(machine.device).train(),
        config,
        steps=epoch.steps(material) * config["train"]["epochs"],
        blank=material.vocabulary.blank,
        machine=machine,
        peers=peers,
    )
    if saved is not None:
        learner.restore(saved.model, saved.optimizer)
    return learner


def _epoch(run: Run, number: int, saved: Saved | None) -> tuple[dict[str, Any], Validated]:
    """Train and validate once; return the row of metrics.jsonl, and what validation found."""
    started = time.monotonic()
    before = sum(row["nonfinite"] for row in saved.history) if saved else 0
    tally = epoch.train(run.material, run.learner, number, before, run.emit)
    run.peers.check_replicas(run.learner.fingerprint(), number)
    validated = validation.validate(
        run.learner.model, run.material, run.machine, run.peers, Throttle(run.emit).beat
    )
    mean = float(validated.losses.mean(dtype=np.float64))
    if not isfinite(mean):
        raise ThunderError(
            f"epoch {number}: the validation loss is {mean}; lower train.learning_rate", "training"
        )
    row = {
        "step": number,
        "train_loss": tally.mean_loss,
        "valid_loss": mean,
        "valid_cer": validated.cer,
        "learning_rate": run.learner.rate(number * epoch.steps(run.material) - 1),
        "utterances_per_second": tally.per_second,
        "nonfinite": tally.nonfinite,
        "seconds": time.monotonic() - started,
        "grad_norm_max": tally.norm_max,
    }
    return row, validated


def _advanced(run: Run, row: dict[str, Any], validated: Validated, before: Saved | None) -> Saved:
    number, train = row["step"], run.material.config["train"]
    precision = run.machine.precision
    standing = stopping.advance(before.standing if before else None, number, validated.losses)
    stopped = None
    if stopping.is_spent(standing, number, train["patience"]):
        stopped = PATIENCE
    if number >= train["epochs"]:
        stopped = EPOCHS
    return Saved(
        epoch=number,
        model=run.learner.model.state_dict(),
        optimizer=run.learner.optimizer.state_dict(),
        standing=standing,
        history=[*(before.history if before else []), row],
        threads=run.machine.threads,
        precisions=tuple(dict.fromkeys((*(before.precisions if before else ()), precision))),
        stopped=stopped,
    )


def _tell(run: Run, saved: Saved) -> None:
    row, standing = saved.history[-1], saved.standing
    validated = {name: row[name] for name in ("valid_loss", "valid_cer")}
    run.emit(events.valid(saved.epoch, unit="epoch", metrics=validated))
    marks = ["best"] if standing.best_epoch == saved.epoch else []
    marks += [] if standing.firm_epoch == saved.epoch else [f"firm since {standing.firm_epoch}"]
    marks += [f"{row['nonfinite']} steps skipped"] if row["nonfinite"] else []
    marks += [f"stopped: {saved.stopped}"] if saved.stopped else []
    loss = "none" if row["train_loss"] is None else f"{row['train_loss']:.4f}"
    _log(
        run,
        f"epoch {saved.epoch:3d}  train {loss}  valid {row['valid_loss']:.4f}  "
        f"CER {100 * row['valid_cer']:.2f} %  rate {row['learning_rate']:.2e}  "
        f"{row['utterances_per_second']:.0f} utterances/s  {row['seconds']:.1f} s  "
        f"{', '.join(marks)}".rstrip(),
    )


def _opening(run: Run, saved: Saved | None) -> str:
    config, machine = run.material.config, run.machine
    sizes = {name: len(split.ids) for name, split in run.material.splits.items()}
    parameters = sum(parameter.numel() for parameter in run.learner.model.parameters())
    return (
        f"{'resumed after epoch ' + str(saved.epoch) if saved else 'started'}: "
        f"{config['script']} {config['mode']}, {parameters:,} parameters, rows {sizes}, "
        f"{epoch.steps(run.material)} steps an epoch, {config['train']['epochs']} epochs at most, "
        f"{run.peers.world} ranks, {machine.device}, {machine.precision}, {machine.threads} threads"
    )


def _log(run: Run, text: str) -> None:
    if run.peers.leads:
        stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        files.append_text(run.folder / artifacts.LOG, f"{stamp}  {text}\n")
