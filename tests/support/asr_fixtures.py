"""Small data folders with real audio and the configs that read them, for the ASR lane's tests."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from thunder.ground import files
from thunder.lanes.asr.features import publish, shards

RATE = 16_000


def noise(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Return quiet noise that rises and falls four times a second."""
    time = np.arange(round(seconds * rate)) / rate
    drawn = np.random.default_rng(seed).standard_normal(len(time))
    return (0.1 * drawn * (1 + np.sin(2 * np.pi * 4 * time))).astype(np.float32)


def write_pairs(folder: Path, ids: list[str], **columns: list[Any]) -> None:
    """Write pairs.jsonl with a text for every id, and more columns."""
    rows = [
        {"feat_id": name, "nko": "ߊ ߓߊ", "latin": "a ba"}
        | {key: values[place] for key, values in columns.items()}
        for place, name in enumerate(ids)
    ]
    files.write_jsonl(folder / "pairs.jsonl", rows)


def write_speech(folder: Path, seconds: list[float]) -> list[str]:
    """Write a data folder with an utterance of each length; return its ids."""
    (folder / "audio").mkdir(parents=True)
    ids = [f"u_{place:06d}" for place in range(len(seconds))]
    for place, (name, length) in enumerate(zip(ids, seconds, strict=True)):
        soundfile.write(folder / "audio" / f"{name}.wav", noise(length, place), RATE)
    write_pairs(folder, ids)
    return ids


def features_config(data: Path, outputs: Path, **changes: Any) -> dict[str, Any]:
    """Return the config of an `asr_features` job; keywords replace keys of `features`."""
    features = {"name": "log_mel", "source": {"log_mel": 80}, "seconds": 30, "most_corrupt": 0.01}
    paths = {"data": str(data), **changes.pop("paths", {})}
    return {
        "kind": "asr_features",
        "seed": 0,
        "data": {
            "name": "speech",
            "source": {"digest": "0" * 64},
            "pairs": "pairs.jsonl",
            "id": "feat_id",
            "columns": {"nko": "nko", "latin": "latin"},
            "origin": None,
            "take": None,
        },
        "features": {**features, **changes},
        "runtime": {"outputs": str(outputs), "stall_seconds": 60.0, "paths": paths},
    }


def making(**changes: Any) -> shards.Making:
    """Return what a store of four-wide log-mel frames is made from."""
    settings: dict[str, Any] = {
        "layout": "log_mel_50hz",
        "dims": 4,
        "encoder": {"name": "made_up", "digest": "1" * 64},
        "snapshot": "2" * 64,
        "source": "3" * 64,
        "limit_seconds": 30.0,
        "versions": {"torch": "0"},
    }
    return shards.Making(**{**settings, **changes})


def write_store(folder: Path, frames: dict[str, np.ndarray], **changes: Any) -> None:
    """Write a feature store of these frames (n, dims), as a finished `asr_features` run has it."""
    dims = next(iter(frames.values())).shape[1]
    made_from, names = making(dims=dims, **changes), sorted(frames)
    for start in range(0, len(names), shards.ROWS):
        with shards.Writer(folder, start // shards.ROWS, made_from) as writer:
            for name in names[start : start + shards.ROWS]:
                writer.add(name, frames[name], len(frames[name]) / 50)
    publish.publish(folder, made_from, -(-len(names) // shards.ROWS), lambda: None)
    publish.tidy(folder)
