"""Frames of a frozen Whisper encoder from a local folder, one frame per 20 ms of true length."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import SafetensorError

from thunder.ground import digest, files, input_files
from thunder.ground.errors import ThunderError, first_line
from thunder.ground.wording import some
from thunder.lanes.asr.features import audio, channels
from thunder.lanes.asr.features.layouts import LAYOUTS, SAMPLE_RATE
from thunder.lanes.asr.features.rows import Outcome, Rejected, Row, framed

LAYOUT = LAYOUTS["whisper_50hz"]
SHOWN = 5  # weights that are missing
BATCH_ROWS = 16  # on CUDA; a processor takes one at a time, so that the lane is heard between them


@dataclass(frozen=True)
class Whisper:
    """A frozen encoder.

    Args:
        front_end: what turns samples into the padded log-mel input of the encoder.
        dims: width of its output.
        seconds: the window that it was built for, 30 for every published one.
    """

    encoder: Any
    front_end: Any
    device: Any
    dims: int
    seconds: float


@dataclass(frozen=True)
class Prepared:
    """A row ready for the encoder.

    Args:
        energies: float32 (mel bins, positions * 2), padded to the window.
        samples: at 16 kHz that are not padding.
    """

    row: Row
    energies: np.ndarray
    samples: int
    duration_s: float
    is_cut: bool


Chunk = list[Prepared | Rejected]


def load(folder: Path) -> Whisper:
    """Load the encoder of a Whisper folder; float16 on CUDA, float32 elsewhere.

    Raises:
        ThunderError: no Whisper model, weights that are missing, or a front end of another window.
    """
    _check_config(folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    try:
        model, loading = transformers.WhisperModel.from_pretrained(
            folder, local_files_only=True, dtype=dtype, output_loading_info=True
        )
        front_end = transformers.WhisperFeatureExtractor.from_pretrained(
            folder, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise ThunderError(
            f"{folder}: not loadable as a Whisper model: {first_line(error)}", "model"
        ) from error
    _check_weights(folder, loading)
    seconds = _window_seconds(folder, model.config, front_end)
    encoder = model.get_encoder().to(device).eval().requires_grad_(False)
    return Whisper(encoder, front_end, device, int(model.config.d_model), seconds)


def name(folder: Path) -> str:
    """Return how the manifest names this encoder: by its sizes, as folders are named by anybody."""
    config = files.read_json(folder / input_files.CONFIG)
    return f"whisper_{config['encoder_layers']}x{config['d_model']}_{config['num_mel_bins']}mel"


def encoder_digest(source: Mapping[str, Any]) -> str:
    """Return the digest of a bound source: that of the folder, or of the hub's name and commit."""
    return str(source["digest"]) if "digest" in source else digest.of_value(dict(source))


def preparer(
    folder: Path, whisper: Whisper, seconds: float, channel: str = channels.MIX
) -> "partial[Chunk]":
    """Return the function that decodes a chunk of rows; several threads may call it at once."""
    return partial(_prepare, folder, whisper.front_end, min(seconds, whisper.seconds), channel)


def encode(whisper: Whisper, rows: Chunk) -> Iterator[Outcome]:
    """Yield what comes of a chunk, in its order; a batch is all of it that can be heard."""
    prepared = [row for row in rows if isinstance(row, Prepared)]
    size = BATCH_ROWS if whisper.device.type == "cuda" else 1
    batches = (prepared[start : start + size] for start in range(0, len(prepared), size))
    framed_rows = (outcome for batch in batches for outcome in _forward(whisper, batch))
    for row in rows:
        yield row if isinstance(row, Rejected) else next(framed_rows)


def versions(whisper: Whisper) -> dict[str, str]:
    """Return what the frames depend on."""
    return {
        **audio.versions(),
        "device": torch.cuda.get_device_name() if whisper.device.type == "cuda" else "cpu",
        "torch": str(torch.__version__),
        "transformers": str(transformers.__version__),
    }


def _check_config(folder: Path) -> None:
    try:
        kind = files.read_json(folder / input_files.CONFIG).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise ThunderError(
            f"{folder / input_files.CONFIG}: not a model folder: {error}", "model"
        ) from error
    if kind != "whisper":
        raise ThunderError(f"{folder}: a {kind!r} model; features.source needs a Whisper", "model")


def _check_weights(folder: Path, loading: Mapping[str, Any]) -> None:
    """Refuse an encoder of which a part was not in the folder and is random now."""
    missing = [key for key in sorted(loading["missing_keys"]) if ".encoder." in f".{key}"]
    missing += [str(key[0]) for key in loading["mismatched_keys"]]
    if missing:
        raise ThunderError(
            f"{folder}: weights of the encoder are missing: {some(missing, SHOWN)}; "
            "fetch the model again",
            "model",
        )


def _window_seconds(folder: Path, config: Any, front_end: Any) -> float:
    positions, given = int(config.max_source_positions), int(front_end.nb_max_frames)
    if front_end.feature_size != config.num_mel_bins or given != 2 * positions:
        raise ThunderError(
            f"{folder}: preprocessor_config.json makes {front_end.feature_size} × {given} inputs, "
            f"{input_files.CONFIG} takes {config.num_mel_bins} × {2 * positions}",
            "model",
        )
    return positions / LAYOUT.rate_hz


def _prepare(folder: Path, front_end: Any, seconds: float, channel: str, rows: list[Row]) -> Chunk:
    return [_prepare_row(folder, front_end, seconds, channel, row) for row in rows]


def _prepare_row(
    folder: Path, front_end: Any, seconds: float, channel: str, row: Row
) -> Prepared | Rejected:
    sound = audio.of_row(folder, row, seconds, channel)
    if isinstance(sound, Rejected):
        return sound
    samples = sound.samples
    energies = front_end(samples, sampling_rate=SAMPLE_RATE, return_tensors="np")["input_features"]
    return Prepared(row, energies[0], len(samples), sound.duration_s, sound.is_cut)


def _forward(whisper: Whisper, batch: list[Prepared]) -> list[Outcome]:
    energies = torch.from_numpy(np.stack([prepared.energies for prepared in batch]))
    energies = energies.to(whisper.device, whisper.encoder.dtype)
    with torch.inference_mode():
        every = whisper.encoder(energies).last_hidden_state.float().cpu().numpy()
    return [
        framed(
            prepared.row,
            frames[: LAYOUT.frames_of(prepared.samples)],
            prepared.duration_s,
            is_cut=prepared.is_cut,
        )
        for prepared, frames in zip(batch, every, strict=True)
    ]
