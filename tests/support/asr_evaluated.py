"""Small evaluated runs of untrained models, for the tests of evaluation and of its results."""

import dataclasses
from pathlib import Path
from typing import Any

import asr_training
import torch

from thunder.lanes.asr.evaluation import evaluate
from thunder.lanes.asr.material import Material
from thunder.lanes.asr.model import ctc
from thunder.lanes.asr.model.ctc import CTCModel

torch.set_num_threads(1)
RUN = "f" * 64
ROWS = {"train": 6, "valid": 20, "test": 12}
SUTA = {"rows": 5, "steps": 2, "learning_rate": 1e-2}
TRAINING = {
    "epochs_trained": 4,
    "best_epoch": 3,
    "best_val_loss": 0.5,
    "stopped_because": "epochs",
    "nan_batches": 1,
    "train_seconds": 12.5,
    "utterances_per_second": 40.0,
    "device": "cpu",
    "precision": "float32",
}


def material(mode: str = "baseline", **changes: Any) -> Material:
    """Return letters of two sources, every other test row with a text that train lacks."""
    changes = {"evaluate__suta": SUTA, **changes}
    letters = asr_training.letters(asr_training.config(mode=mode, **changes), ROWS)
    test = letters.splits["test"]
    origins = ["radio" if number % 3 else None for number in range(ROWS["test"])]
    splits = {**letters.splits, "test": dataclasses.replace(test, origins=origins)}
    return dataclasses.replace(letters, splits=splits, text_disjoint=frozenset(test.ids[::2]))


def model(given: Material, seed: int = 0) -> CTCModel:
    """Return an untrained model that leans to a few classes, so that it writes something."""
    torch.manual_seed(seed)
    made = ctc.build(given.config, given.store.dims, len(given.vocabulary.tokens))
    with torch.no_grad():
        made.output_proj.weight.mul_(8)
        made.output_proj.bias[12:].fill_(-3.0)
        made.output_proj.bias[0] = 3.0
    return made


def evaluated(
    folder: Path, mode: str = "baseline", events: list[Any] | None = None, **changes: Any
) -> dict[str, float | None]:
    given = material(mode, **changes)
    emit = asr_training.silent if events is None else events.append
    return evaluate.run(given, model(given), asr_training.CPU, TRAINING, folder, emit)
