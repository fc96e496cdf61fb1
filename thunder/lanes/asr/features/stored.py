"""Features that others made: features/<feat_id>.pt of the data folder, held to one layout.

Reading the one layout as the other trains to 100 % blank with a state dict that fits; so a file
that could be either is refused.
"""

import pickle
import struct
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from thunder.ground import digest
from thunder.ground.errors import ThunderError, first_line
from thunder.lanes.asr.features.layouts import LAYOUTS, SAMPLE_RATE, Layout
from thunder.lanes.asr.features.rows import Framed, Misfit, Outcome, Rejected, Row, framed

FOLDER = "features"
WINDOW_SECONDS = 30.0  # what Whisper pads to
SLACK_FRAMES = 2  # how far a trimmed file may be from its row's duration: others round otherwise
# What torch.load raises for bytes that are no tensor file.
UNREADABLE = (
    OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError,
    AssertionError, MemoryError, pickle.UnpicklingError, struct.error,
)  # fmt: skip
SOURCES = {
    "whisper_50hz_1500": LAYOUTS["whisper_50hz"],
    "whisper_12p5hz_375": LAYOUTS["whisper_12p5hz"],
}


def layout_of(source: str) -> Layout:
    """Return the layout that a `stored` source names."""
    if source not in SOURCES:
        raise ThunderError(f"features.source.stored: {source!r} is not one of {', '.join(SOURCES)}")
    return SOURCES[source]


def encoder_digest(source: str, data: Any) -> str:
    """Return the digest of stored features: they are part of the bound data source."""
    return digest.of_value({"stored": source, "data": data})


def width(folder: Path, rows: Iterable[Row]) -> int:
    """Return the dims of the first readable file; all others must have them too."""
    tried = 0
    for row in rows:
        tried += 1
        loaded = _load(folder, row)
        if isinstance(loaded, torch.Tensor) and loaded.ndim == 2 and loaded.shape[1]:
            return int(loaded.shape[1])
    raise ThunderError(
        f"{folder / FOLDER}: none of the first {tried} rows has readable features of shape "
        f"(frames, dims) in {FOLDER}/<feat_id>.pt",
        "data",
    )


def extractor(folder: Path, source: str, dims: int, seconds: float) -> "partial[list[Outcome]]":
    """Return the function that reads a chunk of rows; it can be sent to a process."""
    return partial(_extract, str(folder), source, dims, seconds)


def versions() -> dict[str, str]:
    """Return what the frames depend on."""
    return {"torch": str(torch.__version__)}


def _extract(folder: str, source: str, dims: int, seconds: float, rows: list[Row]) -> list[Outcome]:
    return [_of_row(Path(folder), source, dims, seconds, row) for row in rows]


def _of_row(folder: Path, source: str, dims: int, seconds: float, row: Row) -> Outcome:
    loaded = _load(folder, row)
    if isinstance(loaded, str):
        return Rejected(row, loaded)
    layout = layout_of(source)
    wrong = _misfit(tuple(loaded.shape), source, dims, row.duration_s)
    return Misfit(row, wrong) if wrong else _trimmed(row, loaded, layout, seconds)


def _load(folder: Path, row: Row) -> Any:
    """Return a tensor of floats, or the reason why there is none."""
    if Path(row.feat_id).name != row.feat_id or row.feat_id.startswith("."):
        return f"{row.feat_id!r} is not the name of a visible file"
    path = folder / FOLDER / f"{row.feat_id}.pt"
    if not path.is_file():
        return f"no {FOLDER}/{path.name}"
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        return f"{FOLDER}/{path.name} is not readable: {first_line(error)[:120]}"
    if not isinstance(loaded, torch.Tensor) or not loaded.is_floating_point():
        what = getattr(loaded, "dtype", type(loaded).__name__)
        return f"{FOLDER}/{path.name} holds {what}, not a tensor of floats"
    return loaded


def _misfit(shape: tuple[int, ...], source: str, dims: int, duration_s: float | None) -> str | None:
    """Return why a shape is not that of the source, or nothing."""
    layout = layout_of(source)
    full = layout.frames(WINDOW_SECONDS)
    if len(shape) != 2 or not shape[0]:
        return f"shape {shape}, not (frames, {dims})"
    if shape[1] != dims:
        return f"{shape[1]} dims, the first row has {dims}"
    if shape[0] == full:
        return None
    if shape[0] > full:
        return f"{shape[0]} frames, {source} has {full} at most{_hint(shape[0], duration_s)}"
    if duration_s is None:
        return (
            f"{shape[0]} frames without a duration_s, which tells how long it is: {source} has "
            f"{full} untrimmed{_hint(shape[0], duration_s)}"
        )
    expected = layout.frames(min(duration_s, WINDOW_SECONDS))
    if abs(shape[0] - expected) > SLACK_FRAMES:
        return (
            f"{shape[0]} frames for {duration_s:g} s, {source} has {expected} trimmed or {full} "
            f"untrimmed{_hint(shape[0], duration_s)}"
        )
    return None


def _hint(frames: int, duration_s: float | None) -> str:
    """Return the sources whose layout a number of frames would fit."""
    fits = []
    for name, layout in SOURCES.items():
        expected = [layout.frames(WINDOW_SECONDS)]
        if duration_s is not None:
            expected.append(layout.frames(min(duration_s, WINDOW_SECONDS)))
        if min(abs(frames - number) for number in expected) <= SLACK_FRAMES:
            fits.append(name)
    return f"; it fits {' or '.join(fits)}" if fits else ""


def _trimmed(row: Row, tensor: Any, layout: Layout, seconds: float) -> Framed | Rejected:
    """Return the frames up to the row's duration and the longest utterance."""
    duration_s = row.duration_s
    if duration_s is None:
        duration_s = len(tensor) * layout.samples / SAMPLE_RATE
    kept = layout.frames(min(duration_s, seconds))
    return framed(
        row,
        tensor[:kept].to(torch.float32).numpy(),
        duration_s,
        is_cut=duration_s > min(seconds, WINDOW_SECONDS),
        is_padded=row.duration_s is None,
    )
