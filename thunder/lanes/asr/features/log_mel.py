"""Log-mel energies: 25 ms windows every 10 ms, two neighbours stacked into one frame of 20 ms."""

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers.audio_utils import mel_filter_bank

from thunder.ground import digest
from thunder.lanes.asr.features import audio, channels
from thunder.lanes.asr.features.layouts import LAYOUTS, SAMPLE_RATE, STACKED
from thunder.lanes.asr.features.rows import Outcome, Rejected, Row, framed

REVISION = 1  # raise it when the same samples give other frames

LAYOUT = LAYOUTS["log_mel_50hz"]
WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
LEAST_POWER = 1e-10
MOST_RANGE = 8.0  # decades (80 dB) below the loudest value, as in Whisper's front end
LEAST_DEVIATION = 0.1  # decades (1 dB): a band that varies less holds no speech to be scaled up


def name(mels: int) -> str:
    """Return how the manifest names this encoder."""
    return f"log_mel_{mels}"


def encoder_digest(mels: int) -> str:
    """Return the digest of everything that shapes the frames besides the samples."""
    return digest.of_value(
        {
            "revision": REVISION,
            "mels": mels,
            "samples": [SAMPLE_RATE, WINDOW, HOP, STACKED],
            "power": [LEAST_POWER, MOST_RANGE, LEAST_DEVIATION],
            "resampler": audio.QUALITY,
        }
    )


def frames(samples: np.ndarray, mels: int) -> np.ndarray:
    """Return float32 frames (ceil(n / 320), 2 * mels) of samples (n,) at 16 kHz.

    Every band is brought to mean 0 and deviation 1 over the utterance: this takes out loudness and
    channel, and an utterance's frames depend on no other row, so shards can be made in any order.
    """
    count = LAYOUT.frames_of(len(samples))
    # Silence on both sides, so that window t is centred on sample 160 t, the first one too.
    wave = torch.zeros(count * STACKED * HOP + WINDOW)
    wave[WINDOW // 2 : WINDOW // 2 + len(samples)] = torch.from_numpy(samples)
    spectrum = torch.stft(
        wave, WINDOW, HOP, window=_window(), center=False, return_complex=True
    )[:, :-1]  # fmt: skip
    power = torch.view_as_real(spectrum).square_().sum(-1)
    energies = (_filters(mels) @ power).clamp_(min=LEAST_POWER).log10_()
    energies = energies.clamp_(min=float(energies.max()) - MOST_RANGE)
    deviation, mean = torch.std_mean(energies, dim=1, correction=0, keepdim=True)
    scaled = (energies - mean) / deviation.clamp_(min=LEAST_DEVIATION)
    return scaled.T.reshape(count, STACKED * mels).numpy()


def extractor(
    folder: Path, mels: int, seconds: float, channel: str = channels.MIX
) -> "partial[list[Outcome]]":
    """Return the function that turns a chunk of rows into frames; it can be sent to a process."""
    return partial(_extract, str(folder), mels, seconds, channel)


def versions() -> dict[str, str]:
    """Return what the frames depend on."""
    return {
        **audio.versions(),
        "torch": str(torch.__version__),
        "transformers": str(transformers.__version__),
    }


def _extract(
    folder: str, mels: int, seconds: float, channel: str, rows: list[Row]
) -> list[Outcome]:
    return [_of_row(Path(folder), mels, seconds, channel, row) for row in rows]


def _of_row(folder: Path, mels: int, seconds: float, channel: str, row: Row) -> Outcome:
    sound = audio.of_row(folder, row, seconds, channel)
    if isinstance(sound, Rejected):
        return sound
    return framed(row, frames(sound.samples, mels), sound.duration_s, is_cut=sound.is_cut)


@cache
def _window() -> Any:
    return torch.hann_window(WINDOW)


@cache
def _filters(mels: int) -> Any:
    """Return the filters (mels, bins) of Slaney's mel scale, each of the same area."""
    bank = mel_filter_bank(
        WINDOW // 2 + 1, mels, 0.0, SAMPLE_RATE / 2, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )
    return torch.from_numpy(bank.T.astype("float32")).contiguous()
