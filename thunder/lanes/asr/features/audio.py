"""Audio files as samples: mono, 16 kHz, float32; the only importer of soundfile and soxr."""

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from thunder.lanes.asr.features.layouts import SAMPLE_RATE
from thunder.lanes.asr.features.rows import Rejected, Row

SLACK_BYTES = 64  # some writers count the header as sound
UNKNOWN_BYTES = 0x7FFF0000  # from here on, what writers to a pipe put for a size they do not know
LOWEST_RATE = 4_000  # below is no speech but a broken header
HIGHEST_RATE = 384_000
QUALITY = "HQ"


class Unreadable(Exception):
    """Audio without usable sound; the message is the reason, without the file's name."""


@dataclass(frozen=True)
class Audio:
    """Samples of an utterance.

    Args:
        samples: float32 (n,) at 16 kHz, n at most what was asked for.
        duration_s: the whole file's length.
        is_cut: whether the file is longer than the samples.
    """

    samples: np.ndarray
    duration_s: float
    is_cut: bool


def read(path: Path, seconds: float) -> Audio:
    """Return the first seconds of a wav, flac, ogg or mp3 file.

    Raises:
        Unreadable: missing, empty, corrupt, truncated or silent.
    """
    try:
        _check_file(path)
        with soundfile.SoundFile(path) as file:
            return _decode(file, seconds)
    except (soundfile.LibsndfileError, OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "error_string", None) or str(error) or type(error).__name__
        raise Unreadable(f"not readable as audio: {reason.strip().rstrip('.')}") from error


def of_row(folder: Path, row: Row, seconds: float) -> Audio | Rejected:
    """Return the first seconds of a row's audio, or the row with the reason why there are none.

    Args:
        folder: of the data.
    """
    if row.audio is None:
        return Rejected(row, f"no audio/{row.feat_id}.wav, .flac, .ogg or .mp3")
    try:
        return read(folder / row.audio, seconds)
    except Unreadable as error:
        return Rejected(row, str(error))


def flac(samples: np.ndarray) -> bytes:
    """Return samples at 16 kHz as a FLAC file of 16 bits."""
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def versions() -> dict[str, str]:
    """Return what the samples of a file depend on."""
    return {
        "libsndfile": soundfile.__libsndfile_version__,
        "libsoxr": soxr.__libsoxr_version__,
        "soundfile": soundfile.__version__,
        "soxr": soxr.__version__,
    }


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise Unreadable(f"{path.name}: {os.strerror(error.errno or 0)}") from error
    if not stat.S_ISREG(status.st_mode):  # a pipe would never end
        raise Unreadable(f"{path.name}: not a file")
    if status.st_size == 0:
        raise Unreadable("an empty file")
    with path.open("rb") as file:
        _check_wave(file, status.st_size)


def _check_wave(file: BinaryIO, size: int) -> None:
    """Refuse a wav file that ends before its sound does: libsndfile reads it as a shorter one."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return
    while len(chunk := file.read(8)) == 8:
        declared = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            left = size - file.tell()
            if left + SLACK_BYTES < declared < UNKNOWN_BYTES:
                raise Unreadable(f"truncated: {left} of {declared} bytes of sound")
            return
        file.seek(declared + declared % 2, os.SEEK_CUR)


def _decode(file: "soundfile.SoundFile", seconds: float) -> Audio:
    rate, total = file.samplerate, file.frames
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise Unreadable(f"a sample rate of {rate} Hz")
    if total <= 0:
        raise Unreadable("no samples")
    wanted = min(total, round(seconds * rate))
    samples = file.read(wanted, dtype="float32", always_2d=True)
    if len(samples) < wanted:
        raise Unreadable(f"truncated: {len(samples)} of {total} samples")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    _check_sound(mono)
    limit = round(seconds * SAMPLE_RATE)
    return Audio(_resampled(mono, rate)[:limit], total / rate, wanted < total)


def _check_sound(mono: np.ndarray) -> None:
    if not np.isfinite(mono).all():
        raise Unreadable("samples that are not finite")
    if not mono.any():
        raise Unreadable("silent: every sample is 0")


def _resampled(mono: np.ndarray, rate: int) -> np.ndarray:
    if rate == SAMPLE_RATE:
        return np.ascontiguousarray(mono)
    resampled = soxr.resample(mono, rate, SAMPLE_RATE, quality=QUALITY)
    if not len(resampled):
        raise Unreadable(f"{len(mono)} samples at {rate} Hz are too few")
    return resampled
