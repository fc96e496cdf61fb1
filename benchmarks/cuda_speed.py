"""What `cuda.py` measures: utterances a second, memory, the largest batch, the feature encoder."""

import gc
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import generated
import numpy as np
import torch
from generated import Place
from ways import Ours, Published

from thunder.backends.torch import machine
from thunder.backends.torch.machine import Machine
from thunder.ground import files
from thunder.ground.errors import first_line
from thunder.lanes.asr.features import store
from thunder.lanes.asr.features.layouts import SAMPLE_RATE
from thunder.lanes.asr.features.rows import Row
from thunder.lanes.asr.model import ctc
from thunder.lanes.asr.training import augment
from thunder.lanes.asr.training.batches import Batch

if TYPE_CHECKING:
    from thunder.lanes.asr.features import whisper

REPEATS = 5
MOST_WINDOWS = 2048
LETTERS_PER_SECOND = 12.5
GIB = 2**30

# Each way, and what of the recommended recipe it changes. What is published runs at 12.5 frames a
# second; the same model at 25 says what of the ratio is padding and the loop alone.
WAYS: dict[str, tuple[type[Ours] | type[Published], dict[str, Any]]] = {
    "thunder": (Ours, {"mode": "baseline"}),
    "thunder_trajectory": (Ours, {"mode": "trajectory"}),
    "published_way": (Published, {"mode": "baseline"}),
    "published_configuration": (
        Published,
        {"mode": "baseline", "model__stride": 4, "model__size__positions": 500},
    ),
}


def throughput(place: Place, seconds: float) -> dict[str, Any]:
    """Train and validate epochs of the anchor's size in every way; return how fast each was."""
    ways = {}
    for number, name in enumerate(WAYS):
        deadline = time.monotonic() + seconds / len(WAYS)
        ways[name] = _way(place, name, place.folder / f"way_{number}", deadline)
    ours = ways["thunder"]["utterances_per_second"]
    others = ("published_way", "published_configuration")
    ratios = {name: ours / ways[name]["utterances_per_second"] for name in others}
    return {"ways": ways, "times_as_fast_as": ratios}


def largest_batch(place: Place, seconds: float) -> dict[str, Any]:
    """Return the rows that one step of training holds, by mode and length of the rows."""
    found: dict[str, Any] = {}
    cases = {
        "trajectory_whole_window": ("trajectory", place.scale.seconds),
        "baseline_whole_window": ("baseline", place.scale.seconds),
        "trajectory_tenth_of_window": ("trajectory", place.scale.seconds / 10),
    }
    limit = 1 << 15 if torch.cuda.is_available() else 4
    for name, (mode, length) in cases.items():
        deadline = time.monotonic() + seconds / len(cases)
        settings = generated.config(place, "anchor", mode=mode)
        one = generated.material(settings, place.folder / f"largest_{name}")
        chosen = _prepared(settings)
        ours = Ours(one, chosen)
        peaks: dict[int, float | None] = {}
        rows = largest(_fits(ours, length, peaks), limit, deadline)
        found[name] = {"seconds": length, **rows, "peak_memory_gib": peaks.get(rows["rows"])}
        del ours
        _freed()
    return found


def largest(fits: Callable[[int], bool], limit: int, deadline: float) -> dict[str, Any]:
    """Return the most rows that fit: doubled until they do not, then bisected to a sixteenth.

    Args:
        fits: says whether so many rows do.
        limit: more are not tried.
    """
    most, least_refused, ended = 0, None, "found"
    rows = 1
    while least_refused is None or least_refused - most > max(1, most // 16):
        if time.monotonic() > deadline:
            ended = "no time was left"
            break
        try:
            is_right = fits(rows)
        except RuntimeError as error:  # kernels have limits of their own, and then memory is none
            ended = first_line(error)
            break
        if is_right:
            most = rows
        else:
            least_refused = rows
        if most >= limit:
            ended = f"no more than {limit} are tried"
            break
        rows = 2 * most if least_refused is None else (most + least_refused) // 2
        if not rows:
            break
    return {"rows": most, "refused": least_refused, "ended": ended}


def encoder(place: Place, seconds: float) -> dict[str, Any]:
    """Return how much audio an encoder of Whisper large-v3's shape takes; its weights are drawn."""
    packages = ("transformers", "soundfile", "soxr")
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        return {"skipped": f"not installed here: {', '.join(missing)}"}
    from thunder.lanes.asr.features import whisper

    made, manifest = _whisper(place.scale.encoder), files.read_json(place.features / store.MANIFEST)
    rows = _windows(made, place.scale.encoder["num_mel_bins"], whisper.BATCH_ROWS)
    _forget_peak()
    list(whisper.encode(made, rows))
    windows, started = 0, time.monotonic()
    while (spent := time.monotonic() - started) < seconds / 3:
        windows += len(list(whisper.encode(made, rows)))
        if windows >= MOST_WINDOWS:
            spent = time.monotonic() - started
            break
    return {
        "parameters": sum(one.numel() for one in made.encoder.parameters()),
        "dtype": str(made.encoder.dtype).removeprefix("torch."),
        "windows": windows,
        "windows_per_second": windows / spent,
        "window_seconds": made.seconds,
        "hours_per_hour_of_full_windows": windows / spent * made.seconds,
        # Every row takes a window, however short it is.
        "hours_per_hour_of_generated_rows": windows
        / spent
        * manifest["seconds"]
        / manifest["rows"],
        "peak_memory_gib": _peak(),
    }


def _way(place: Place, name: str, folder: Path, deadline: float) -> dict[str, Any]:
    kind, changes = WAYS[name]
    settings = generated.config(place, "anchor", **changes)
    chosen = _prepared(settings)
    _forget_peak()
    way = kind(generated.material(settings, folder), chosen)
    paces: list[float] = []
    way.epoch(1)  # warms up
    while len(paces) < REPEATS and (not paces or time.monotonic() < deadline):
        started = time.monotonic()
        rows = way.epoch(len(paces) + 2)
        if chosen.device.type == "cuda":
            torch.cuda.synchronize()
        paces.append(rows / (time.monotonic() - started))
    del way
    _freed()
    return {
        "utterances_per_second": median(paces),
        "slowest": min(paces),
        "fastest": max(paces),
        "epochs": len(paces),
        "precision": chosen.precision,
        "parameters": ctc.count(settings, place.scale.dims, 66),
        "peak_memory_gib": _peak(),
    }


def _prepared(settings: dict[str, Any]) -> Machine:
    chosen = machine.choose(settings)
    machine.prepare(chosen)
    return chosen


def _fits(ours: Ours, seconds: float, peaks: dict[int, float | None]) -> Callable[[int], bool]:
    """Return whether a step holds so many rows of this length: forward, backward, optimizer.

    Args:
        peaks: gets the memory that the steps took which were held.
    """
    masks = {**ours.material.config["train"]["spec_augment"], "probability": 1.0}
    dims, chance = ours.material.store.dims, np.random.default_rng(0)

    def step(rows: int) -> None:  # of its own, so that nothing of it is held when memory is freed
        batch = _batch(rows, seconds, dims, ours.machine)
        hidden = augment.draw(batch.spoken.numpy(), dims, masks, chance)
        ours.learner.advance(0, batch, hidden, rows)

    def fits(rows: int) -> bool:
        _forget_peak()
        try:
            step(rows)
        except torch.OutOfMemoryError:
            return False
        peaks[rows] = _peak()
        return True

    return fits


def _batch(rows: int, seconds: float, dims: int, chosen: Machine) -> Batch:
    """Return rows of one length, made where they are needed: some hosts have less room."""
    frames = round(seconds * generated.RATE_HZ)
    letters = max(1, round(seconds * LETTERS_PER_SECOND / 2))
    lengths = torch.full((rows,), frames)
    return Batch(
        rows=np.arange(rows),
        frames=torch.zeros(rows, frames, dims, dtype=torch.float16, device=chosen.device),
        lengths=lengths,
        spoken=lengths,
        targets=(torch.arange(letters) % 2 + 1).repeat(rows),
        target_lengths=torch.full((rows,), letters),
    )


def _whisper(sizes: dict[str, int]) -> "whisper.Whisper":
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    from thunder.lanes.asr.features import whisper

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    with device:
        made = WhisperEncoder(WhisperConfig(**sizes)).to(dtype).eval().requires_grad_(False)
    seconds = sizes["max_source_positions"] / whisper.LAYOUT.rate_hz
    return whisper.Whisper(made, None, device, sizes["d_model"], seconds)


def _windows(made: "whisper.Whisper", bins: int, count: int) -> "whisper.Chunk":
    from thunder.lanes.asr.features import whisper

    samples = round(made.seconds * SAMPLE_RATE)
    shape = (bins, 2 * samples // whisper.LAYOUT.samples)
    energies = np.random.default_rng(0).standard_normal(shape, np.float32)
    rows = (Row(f"made_{number}", number + 1, None, None) for number in range(count))
    return [whisper.Prepared(row, energies, samples, made.seconds, False) for row in rows]


def _forget_peak() -> None:
    _freed()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak() -> float | None:
    """Return the most memory that tensors took on the GPU; a CPU has none of its own."""
    return torch.cuda.max_memory_allocated() / GIB if torch.cuda.is_available() else None


def _freed() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
