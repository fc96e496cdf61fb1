"""Generated features with their texts, and run folders that read them: nothing is downloaded.

Every letter sounds like itself: four frames of a drawn vector under noise, 12.5 letters a second,
so a model learns them in a few epochs. Lengths spread as those of transcribed sentences do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thunder.ground import digest, files, run_files
from thunder.lanes.asr.data import pairs
from thunder.lanes.asr.features import publish, shards
from thunder.lanes.asr.kind import KINDS
from thunder.lanes.asr.material import Material, gather

LETTERS = "".join(map(chr, range(0x07CA, 0x07E4)))
WORD = (2, 8)  # letters
FRAMES = 4  # of a letter, at 50 a second
RATE_HZ = 50
IDENTITY = 1  # of the documents that ids are digests of; asking `jobs` would load hydra
SEED = 42

Size = dict[str, int]


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Args:
        letters: the median of a text and the longest.
        noise: its standard deviation; that of a letter's vector is 1.
        seconds: the window that the published way pads to.
        anchor: the size of the model whose speed counts; `small`: of the one that is trained.
        encoder: sizes of the feature encoder, in the words of transformers.
    """

    rows: int
    dims: int
    letters: tuple[int, int]
    noise: float
    seconds: float
    anchor: Size
    small: Size
    encoder: Size
    batch_rows: int
    epochs: int


def _size(width: int, layers: int, heads: int, positions: int, factor: int) -> Size:
    inner = {"width": width, "layers": layers, "heads": heads, "feedforward": 4 * width}
    return {**inner, "kernel": 5, "positions": positions, "learning_rate_factor": factor}


FULL = Scale(
    rows=800,
    dims=1280,
    letters=(38, 150),
    noise=2.0,
    seconds=30.0,
    anchor=_size(768, 6, 12, 750, 1),
    small=_size(96, 2, 4, 750, 10),
    encoder={
        "d_model": 1280,
        "encoder_layers": 32,
        "encoder_attention_heads": 20,
        "encoder_ffn_dim": 5120,
        "num_mel_bins": 128,
        "max_source_positions": 1500,
    },
    batch_rows=32,
    epochs=4,
)
TINY = Scale(
    rows=160,
    dims=32,
    letters=(20, 40),
    noise=0.5,
    seconds=4.0,
    anchor=_size(48, 1, 2, 100, 10),
    small=_size(48, 1, 2, 100, 10),
    encoder={
        "d_model": 32,
        "encoder_layers": 1,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "num_mel_bins": 16,
        "max_source_positions": 100,
    },
    batch_rows=8,
    epochs=3,
)


@dataclass(frozen=True)
class Place:
    """A folder of generated things, and the scale that they were made at."""

    folder: Path
    scale: Scale

    @property
    def data(self) -> Path:
        """The folder of the pairs."""
        return self.folder / "data"

    @property
    def features(self) -> Path:
        """The folder of the feature store."""
        return self.folder / "features"


def generate(place: Place, seconds: float) -> dict[str, Any]:
    """Write texts and features; return how much there is. It takes as long as it takes."""
    chance = np.random.default_rng(SEED)
    spoken = dict(zip(_ids(place.scale.rows), _texts(place.scale, chance), strict=True))
    place.data.mkdir()
    rows = [
        {"feat_id": name, "nko": said, "duration_s": len(said) * FRAMES / RATE_HZ}
        for name, said in spoken.items()
    ]
    files.write_jsonl(place.data / "pairs.jsonl", rows)
    making = _making(place)
    sounds = {one: chance.standard_normal(place.scale.dims, np.float32) for one in LETTERS + " "}
    noise = np.float32(place.scale.noise)
    numbers = range(-(-len(rows) // shards.ROWS))
    for number in numbers:
        part = list(spoken.items())[number * shards.ROWS : (number + 1) * shards.ROWS]
        with shards.Writer(place.features, number, making) as writer:
            for name, said in part:
                clear = np.repeat([sounds[one] for one in said], FRAMES, axis=0)
                frames = clear + noise * chance.standard_normal(clear.shape, np.float32)
                writer.add(name, frames, len(frames) / RATE_HZ)
    manifest = publish.publish(place.features, making, len(numbers), lambda: None)
    publish.tidy(place.features)
    seconds = manifest["audio"]["seconds"]
    longest = manifest["audio"]["longest_seconds"]
    return {"rows": len(rows), "mean_seconds": seconds / len(rows), "longest_seconds": longest}


def config(place: Place, size: str = "small", **changes: Any) -> dict[str, Any]:
    """Return the config of a job: the recommended recipe, on what was generated.

    Args:
        size: anchor or small.
        changes: dotted keys with __ for the dots.
    """
    made = settings(place.scale)
    made["model"]["size"] = dict(getattr(place.scale, size))
    made["data"]["source"]["digest"] = digest.of_folder(place.data)
    paths = {"data": str(place.data), "asr_features": str(place.features)}
    made["runtime"] |= {"outputs": str(place.folder / "outputs"), "paths": paths}
    made["needs"] = {"asr_features": digest.of_file(place.features / "index.jsonl")[:12]}
    for name, value in changes.items():
        *sections, key = name.split("__")
        section = made
        for part in sections:
            section = section[part]
        assert key in section, name
        section[key] = value
    return made


def material(config: dict[str, Any], folder: Path) -> Material:
    """Return what a job of this config reads, gathered as the lane does."""
    folder.mkdir(parents=True, exist_ok=True)
    return gather(config, folder, lambda event: None)


def run_folder(outputs: Path, config: dict[str, Any]) -> Path:
    """Make the folder of a run that has just begun, from which any executor can run it."""
    rest = {key: value for key, value in config.items() if key != "runtime"}
    document = {"identity": IDENTITY, "revision": KINDS["asr"].revision, **rest}
    folder = outputs / "asr" / digest.of_value(document)[:12]
    folder.mkdir(parents=True)
    files.write_json(folder / run_files.CONFIG, document)
    # What its process reads of a record; all else in one is the runner's.
    attempt = {"number": 1, "runtime": config["runtime"]}
    files.write_json(folder / run_files.RECORD, {"id": folder.name, "attempts": [attempt]})
    return folder


def _ids(count: int) -> list[str]:
    return [f"made_{number:06d}" for number in range(count)]


def _texts(scale: Scale, chance: np.random.Generator) -> Iterator[str]:
    median, most = scale.letters
    for length in chance.lognormal(np.log(median), 0.55, scale.rows):
        yield _text(int(np.clip(length, 6, most)), chance)


def _text(length: int, chance: np.random.Generator) -> str:
    """Return words of letters of which no two neighbours are equal: CTC needs no blank there."""
    written = ""
    left = chance.integers(*WORD)
    while len(written) < length:
        letter = LETTERS[chance.integers(len(LETTERS))]
        if not left:
            written, left = f"{written} ", chance.integers(*WORD)
        elif not written.endswith(letter):
            written, left = written + letter, left - 1
    return written.strip()


def _making(place: Place) -> shards.Making:
    data = {"pairs": "pairs.jsonl", "id": "feat_id", "columns": _COLUMNS, "origin": None}
    rows = pairs.load(place.data, {**data, "take": None})
    return shards.Making(
        layout="whisper_50hz",
        dims=place.scale.dims,
        encoder={"name": "generated", "digest": "0" * 64},
        snapshot=pairs.snapshot(rows),
        source="0" * 64,
        limit_seconds=place.scale.seconds,
        versions={"numpy": np.__version__, "torch": str(torch.__version__)},
    )


_COLUMNS = {"nko": "nko", "latin": None}


def settings(scale: Scale) -> dict[str, Any]:
    """Return the recommended recipe at a scale, without sizes of the model and without places."""
    masks = {"probability": 0.5, "time_bands": 3, "time_frames": 20, "feature_bands": 2}
    return {
        "kind": "asr",
        "seed": SEED,
        "script": "nko",
        "mode": "trajectory",
        "data": {
            "name": "generated",
            "source": {"digest": ""},
            "pairs": "pairs.jsonl",
            "id": "feat_id",
            "columns": dict(_COLUMNS),
            "origin": None,
            "take": None,
        },
        "split": {"rule": "random", "by": None, "seed": SEED, "train": 0.8, "valid": 0.1},
        "text": {"bridge": "none", "most_foreign": 0.001},
        "features": {
            "name": "generated",
            "source": {"stored": "whisper_50hz_1500"},
            "seconds": scale.seconds,
            "most_corrupt": 0.0,
        },
        "model": {"name": "generated", "size": {}, "stride": 2, "lengths": "real", "dropout": 0.1},
        "trajectory": {"neighbours": 5, "window": 64},
        "tar": {"alpha": 0.0, "beta": 0.1},
        "ttt": {"learning_rate": 1e-3, "chunk": 16},
        "train": {
            "epochs": scale.epochs,
            "ranks": 1,
            "batch_size": scale.batch_rows,
            "bucketed": True,
            "learning_rate": 3e-4,
            "warmup_steps": 500,
            "weight_decay": 0.01,
            "betas": [0.9, 0.98],
            "clip_norm": 1.0,
            "patience": 8,
            "precision": "auto",
            "most_nonfinite": 20,
            "spec_augment": {**masks, "feature_share": 0.0625},
        },
        "evaluate": {
            "valid_cer_rows": 2000,
            "bootstrap": 200,
            "beam": 0,
            "suta": {"rows": 8, "steps": 3, "learning_rate": 1e-3},
        },
        "runtime": _runtime(),
    }


_SITE = {"name": "here", "ranks_on": [{"name": "localhost", "address": "127.0.0.1"}]}


def _runtime() -> dict[str, Any]:
    never = ("profile", "window", "target", "eval_every", "save_every", "command", "reproduce")
    return {
        **dict.fromkeys(never),
        **dict.fromkeys(("dry_run", "force", "wait", "deep", "mend"), False),
        "outputs": "",
        "jobs": 1,
        "retries": 0,
        "stall_seconds": 60.0,
        "start_seconds": 60.0,
        "unattended_seconds": 60.0,
        "paths": {},
        "site": {**_SITE, "runs_on": "local", "models": {}, "data": {}},
        "stand_ins": ["data"],
    }
