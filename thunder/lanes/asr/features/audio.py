"""Audio files as samples: mono, 16 kHz, float32; the only importer of soundfile and soxr."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from thunder.lanes.asr.features import channels, containers
from thunder.lanes.asr.features.containers import Checked
from thunder.lanes.asr.features.layouts import SAMPLE_RATE
from thunder.lanes.asr.features.rows import Rejected, Row
from thunder.lanes.asr.features.rows import Unreadable as Unreadable

LOWEST_RATE = 4_000  # below is no speech but a broken header
HIGHEST_RATE = 384_000
QUALITY = "HQ"
_NO_FILE = "File does not exist"  # says libsndfile where libmpg123 gives up


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


def read(path: Path, seconds: float, channel: str = channels.MIX) -> Audio:
    """Return the first seconds of a wav, flac, ogg or mp3 file.

    Args:
        channel: one of `channels.RULES`.

    Raises:
        Unreadable: missing, empty, corrupt, truncated, silent; channels that cancel.
    """
    try:
        return _decoded(containers.checked(path), seconds, channel)
    except (soundfile.LibsndfileError, OSError, ValueError, MemoryError) as error:
        raise Unreadable(f"not readable as audio: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    reason = getattr(error, "error_string", None) or str(error) or type(error).__name__
    if reason.startswith(_NO_FILE):  # it is there, as was checked
        return "no frame of MP3 near its beginning"
    return str(reason).strip().rstrip(".")


def of_row(folder: Path, row: Row, seconds: float, channel: str = channels.MIX) -> Audio | Rejected:
    """Return the first seconds of a row's audio, or the row with the reason why there are none.

    Args:
        folder: of the data.
    """
    if row.audio is None:
        return Rejected(row, f"no audio/{row.feat_id}.wav, .flac, .ogg or .mp3")
    try:
        return read(folder / row.audio, seconds, channel)
    except Unreadable as error:
        return Rejected(row, error.told("features.channel"))


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


def _decoded(checked: Checked, seconds: float, channel: str) -> Audio:
    with soundfile.SoundFile(checked.source) as file:
        if checked.frames is None or file.frames == checked.frames.samples:
            return _sound(file, seconds, channel)
    with soundfile.SoundFile(io.BytesIO(checked.frames.stream())) as file:
        file.read(file.frames - checked.frames.samples)  # the silent frame, less the delay
        return _sound(file, seconds, channel)


def _sound(file: "soundfile.SoundFile", seconds: float, channel: str) -> Audio:
    rate = file.samplerate
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise Unreadable(f"a sample rate of {rate} Hz")
    total = file.frames - file.tell()
    if total <= 0:
        raise Unreadable("no samples")
    wanted = min(total, round(seconds * rate))
    samples = file.read(wanted, dtype="float32", always_2d=True)
    if len(samples) < wanted:
        raise Unreadable(f"truncated: {len(samples)} of {total} samples")
    mono = channels.mono(samples, channel)
    channels.check_sound(mono, rate)
    limit = round(seconds * SAMPLE_RATE)
    return Audio(_resampled(mono, rate)[:limit], total / rate, wanted < total)


def _resampled(mono: np.ndarray, rate: int) -> np.ndarray:
    if rate == SAMPLE_RATE:
        return np.ascontiguousarray(mono)
    resampled = soxr.resample(mono, rate, SAMPLE_RATE, quality=QUALITY)
    if not len(resampled):
        raise Unreadable(f"{len(mono)} samples at {rate} Hz are too few")
    return resampled
