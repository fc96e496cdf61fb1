"""A language of a few letters that a tiny model learns in a second, for the tests of training.

Run as a script it trains in a process of its own, which a test can kill where it likes.
"""

import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thunder.backends.torch import machine
from thunder.backends.torch.machine import Machine
from thunder.backends.torch.peers import Peers
from thunder.lanes.asr.data import pairs, vocabulary
from thunder.lanes.asr.features import job
from thunder.lanes.asr.material import Material
from thunder.lanes.asr.speech import spoken
from thunder.lanes.asr.training import loop
from thunder.lanes.asr.training.state import Saved
from thunder.lanes.asr.utterances import Utterances

LETTERS = "ߊߋߌߍߎߏ"
FRAMES = 6  # of a letter, at 50 a second
DIMS = 12
ROWS = {"train": 96, "valid": 24, "test": 8}
CPU = Machine(torch.device("cpu"), "float32", 1)
SPOKEN = {"recipe": "spoken", "rows": 60, "seed": 0}

SETTINGS: dict[str, Any] = {
    "kind": "asr",
    "seed": 7,
    "script": "nko",
    "mode": "baseline",
    "data": {
        "name": "letters",
        "source": SPOKEN,
        "pairs": "pairs.jsonl",
        "id": "feat_id",
        "columns": {"nko": "nko", "latin": "latin"},
        "origin": None,
        "take": None,
    },
    "split": {"rule": "random", "by": None, "seed": 42, "train": 0.8, "valid": 0.1},
    "text": {"bridge": "none", "most_foreign": 0.001},
    "features": {
        "name": "log_mel",
        "source": {"log_mel": 20},
        "seconds": 8,
        "most_corrupt": 0.1,
    },
    "model": {
        "name": "tiny",
        "size": {
            "width": 24,
            "layers": 1,
            "heads": 2,
            "feedforward": 48,
            "kernel": 5,
            "positions": 220,
            "learning_rate_factor": 10,
        },
        "stride": 2,
        "lengths": "real",
        "dropout": 0.1,
    },
    "trajectory": {"neighbours": 3, "window": 16},
    "tar": {"alpha": 0.0, "beta": 0.1},
    "ttt": {"learning_rate": 1e-3, "chunk": 16},
    "train": {
        "epochs": 4,
        "ranks": 1,
        "batch_size": 8,
        "bucketed": True,
        "learning_rate": 1e-3,
        "warmup_steps": 500,
        "weight_decay": 0.01,
        "betas": [0.9, 0.98],
        "clip_norm": 1.0,
        "patience": 8,
        "precision": "auto",
        "most_nonfinite": 2,
        "spec_augment": {
            "probability": 0.5,
            "time_bands": 2,
            "time_frames": 4,
            "feature_bands": 1,
            "feature_share": 0.2,
        },
    },
    "evaluate": {
        "valid_cer_rows": 16,
        "bootstrap": 100,
        "beam": 0,
        "suta": {"rows": 0, "steps": 2, "learning_rate": 1e-3},
    },
    "runtime": {
        "outputs": "",
        "jobs": 1,
        "stall_seconds": 20.0,
        "start_seconds": 60.0,
        "paths": {},
        "stand_ins": [],
    },
    "needs": {"asr_features": "0" * 12},
}


def config(**changes: Any) -> dict[str, Any]:
    """Return a config; keywords are dotted keys with __ for the dots."""
    settings: dict[str, Any] = json.loads(json.dumps(SETTINGS))
    for name, value in changes.items():
        *sections, key = name.split("__")
        place = functools.reduce(lambda part, section: part[section], sections, settings)
        assert key in place, name
        place[key] = value
    return settings


@dataclass(frozen=True)
class Memory:
    """A store that was never on disk."""

    all_frames: list[np.ndarray]
    layout: str = "log_mel_50hz"
    dims: int = DIMS
    rate_hz: float = 50.0
    digest: str = "f" * 64

    def frames(self, row: int) -> np.ndarray:
        return self.all_frames[row]


def letters(settings: Mapping[str, Any], rows: Mapping[str, int] = ROWS) -> Material:
    """Return material in which every letter sounds like itself."""
    words = vocabulary.make("nko")
    chance = np.random.default_rng(0)
    sounds = {letter: chance.normal(size=DIMS) for letter in LETTERS}
    frames: list[np.ndarray] = []
    splits = {name: _split(name, count, frames, sounds, chance) for name, count in rows.items()}
    counts = {"missing": 0, "cut": 0, "empty": 0, "infeasible": 0, "foreign_chars": 0, "chars": 1}
    return Material(
        config=settings,
        vocabulary=words,
        store=Memory(frames),  # type: ignore[arg-type]
        splits=splits,
        split={},
        counts={name: {"rows": count, **counts} for name, count in rows.items()},
        digests={"data": "d" * 64, "split": "5" * 64, "features": "f" * 64},
        text_disjoint=frozenset(),
        bridge_version="none",
        stand_in=True,
    )


def _split(
    name: str,
    count: int,
    frames: list[np.ndarray],
    sounds: Mapping[str, np.ndarray],
    chance: np.random.Generator,
) -> Utterances:
    first, words = len(frames), vocabulary.make("nko")
    texts = []
    for _ in range(count):
        text = "".join(chance.choice(list(LETTERS), chance.integers(2, 9)))
        clear = np.repeat([sounds[letter] for letter in text], FRAMES, axis=0)
        frames.append((clear + 0.3 * chance.normal(size=clear.shape)).astype(np.float16))
        texts.append(text)
    lengths = np.array([len(one) for one in frames[first:]])
    return Utterances(
        ids=[f"{name}_{number:03d}" for number in range(count)],
        rows=np.arange(first, first + count),
        frames=lengths,
        references=texts,
        targets=[words.encode(text)[0] for text in texts],
        origins=[None] * count,
        seconds=(lengths / 50).astype(np.float32),
        fits=np.ones(count, bool),
    )


def silent(event: dict[str, Any]) -> None:
    """Take no notice of an event."""


def trained(folder: Path, emit: Any = silent, **changes: Any) -> Saved:
    """Train on the letters in this process, from where the folder stands."""
    folder.mkdir(parents=True, exist_ok=True)
    return loop.train(letters(config(**changes)), folder, CPU, Peers(), emit)


@pytest.fixture(autouse=True)
def as_trained() -> Iterator[None]:
    """Compute as a training process does, and leave the process of the tests as it was."""
    threads = torch.get_num_threads()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    machine.prepare(CPU)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = fill


@dataclass(frozen=True)
class Speech:
    """A spoken stand-in on disk and its features."""

    outputs: Path
    data: Path
    features: Path

    def config(self, **changes: Any) -> dict[str, Any]:
        """Return a config that reads them."""
        paths = {"data": str(self.data), "asr_features": str(self.features)}
        source = {"data__source": {"digest": "0" * 64}}
        return config(
            **{**source, **changes}, runtime__outputs=str(self.outputs), runtime__paths=paths
        )


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Speech:
    """Return the spoken stand-in of this session."""
    return _spoken(tmp_path_factory.getbasetemp() / "asr_training")


# A fixture that several modules import is made once for each of them.
@functools.cache
def _spoken(folder: Path) -> Speech:
    speech = Speech(folder, folder / "data", folder / "features")
    spoken.build(SPOKEN, speech.data)
    featured(speech)
    return speech


def featured(speech: Speech) -> None:
    """Make the features of a data folder."""
    settings = speech.config()
    settings["runtime"]["paths"] = {"data": str(speech.data)}
    speech.features.mkdir(exist_ok=True)
    job.run({**settings, "kind": "asr_features"}, speech.features, silent)


def snapshot(speech: Speech) -> str:
    """Return the digest of the rows of a data folder."""
    return pairs.snapshot(pairs.load(speech.data, speech.config()["data"]))


@contextmanager
def at_rename(number: int, act: Callable[[], None]) -> Iterator[None]:
    """Act instead of making the rename of this number, counted from 1."""
    made, before = 0, os.replace

    def replace(*arguments: Any) -> None:
        nonlocal made
        made += 1
        if made == number:
            act()
        before(*arguments)

    os.replace = replace  # type: ignore[assignment]
    try:
        yield
    finally:
        os.replace = before


def _main() -> None:
    folder, rename = Path(sys.argv[1]), int(sys.argv[2])
    changes = json.loads(sys.argv[3])
    machine.prepare(CPU)
    with at_rename(rename, lambda: os.kill(os.getpid(), signal.SIGKILL)):
        trained(folder, emit=lambda event: print(json.dumps(event), flush=True), **changes)


if __name__ == "__main__":
    _main()
