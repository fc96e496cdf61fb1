"""Samples from files, whatever people bring; and log-mel frames from samples."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from asr_fixtures import RATE, noise
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from thunder.ground.errors import ThunderError
from thunder.lanes.asr.features import audio, layouts, log_mel
from thunder.lanes.asr.features.rows import Framed, Rejected, Row


def _tone(hertz: float, seconds: float, rate: int) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def _loudest_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(np.argmax(spectrum) * RATE / len(samples))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_every_format_and_rate_becomes_the_same_tone_at_16_khz(
    tmp_path: Path, suffix: str, rate: int
) -> None:
    soundfile.write(tmp_path / f"a.{suffix}", _tone(440, 1.0, rate), rate)
    decoded = audio.read(tmp_path / f"a.{suffix}", 30)
    assert decoded.samples.dtype == np.float32
    assert decoded.samples.ndim == 1
    assert _loudest_hertz(decoded.samples) == pytest.approx(440, abs=5)
    # mp3 has a frame of padding at its ends.
    assert decoded.duration_s == pytest.approx(1.0, abs=0.15 if suffix == "mp3" else 1e-3)
    assert not decoded.is_cut


def test_channels_are_averaged(tmp_path: Path) -> None:
    left = noise(0.5)
    soundfile.write(tmp_path / "a.wav", np.stack([left, -left / 2], axis=1), RATE, subtype="FLOAT")
    assert np.allclose(audio.read(tmp_path / "a.wav", 30).samples, left / 4, atol=1e-6)


@pytest.mark.parametrize("declared", [64_036, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wave_whose_writer_did_not_know_its_size_is_whole(tmp_path: Path, declared: int) -> None:
    soundfile.write(tmp_path / "a.wav", noise(2.0), RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = declared.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    assert len(audio.read(tmp_path / "a.wav", 30).samples) == 32_000


@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_what_is_longer_is_cut_and_its_true_length_told(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", noise(2.5, rate=rate), rate)
    decoded = audio.read(tmp_path / "a.wav", 1.25)
    assert decoded.is_cut
    assert len(decoded.samples) == 20_000
    assert decoded.duration_s == pytest.approx(2.5, abs=1e-4)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("not audio at all, but long enough to be looked at" * 20)


def _no_samples(path: Path) -> None:
    soundfile.write(path, np.zeros(0, np.float32), RATE)


def _silent(path: Path) -> None:
    soundfile.write(path, np.zeros(RATE, np.float32), RATE)


def _not_finite(path: Path) -> None:
    samples = noise(0.5)
    samples[7] = np.nan
    soundfile.write(path, samples, RATE, subtype="FLOAT")


def _torn_flac(path: Path) -> None:
    soundfile.write(path, noise(1.0), RATE, format="FLAC")
    path.write_bytes(path.read_bytes()[:9000])


def _torn_wave(path: Path) -> None:
    soundfile.write(path, noise(2.0), RATE)
    path.write_bytes(path.read_bytes()[:-30_000])


def _slow(path: Path) -> None:
    soundfile.write(path, noise(0.5), 100)


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _missing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_missing, "No such file"),
        (_empty, "an empty file"),
        (_text, "not readable as audio: Format not recogni"),
        (_no_samples, "no samples"),
        (_silent, "silent: every sample is 0"),
        (_not_finite, "samples that are not finite"),
        (_torn_flac, "not readable as audio|truncated"),
        (_torn_wave, "truncated: 34000 of 64000 bytes of sound"),
        (_slow, "a sample rate of 100 Hz"),
        (_folder, "not a file"),
        (_pipe, "not a file"),
    ],
)
def test_audio_without_sound_is_refused_with_its_reason(tmp_path: Path, make, reason: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "a.wav")
    with pytest.raises(audio.Unreadable, match=reason):
        audio.read(tmp_path / "a.wav", 30)


def _is_finite_or_refused(path: Path) -> bool:
    try:
        return bool(np.isfinite(audio.read(path, 30).samples).all())
    except audio.Unreadable as error:
        return str(error) != ""


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_any_cut_of_a_file_is_read_or_refused_with_a_reason(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise(0.3), RATE)
    whole = path.read_bytes()
    for size in range(1, len(whole), max(1, len(whole) // 23)):
        path.write_bytes(whole[:size])
        assert _is_finite_or_refused(path)


@pytest.mark.parametrize("samples", [1, 319, 320, 321, 16_000, 16_001])
def test_an_utterance_has_one_frame_for_every_20_ms_begun(samples: int) -> None:
    frames = log_mel.frames(noise(samples / RATE + 1)[:samples], 80)
    assert frames.shape == (-(-samples // 320), 160)
    assert np.isfinite(frames).all()


def test_every_band_has_mean_0_and_deviation_1() -> None:
    bands = log_mel.frames(noise(3.0), 80).reshape(-1, 80)
    assert np.allclose(bands.mean(axis=0), 0, atol=1e-4)
    assert np.allclose(bands.std(axis=0), 1, atol=1e-3)


def test_loudness_does_not_change_the_frames() -> None:
    samples = noise(1.0)
    assert np.allclose(log_mel.frames(samples, 80), log_mel.frames(samples * 0.05, 80), atol=1e-2)


def test_a_frame_is_two_neighbours_in_the_order_of_time() -> None:
    samples = noise(1.0)
    frames = log_mel.frames(samples, 40)
    later = log_mel.frames(samples[160:], 40)  # 10 ms later: its first half is our second
    assert np.allclose(frames[5:40, 40:], later[5:40, :40], atol=0.05)


def test_a_tone_lights_the_band_of_its_pitch() -> None:
    samples = np.concatenate([noise(1.0) * 1e-3, _tone(1000, 1.0, RATE)])
    frames = log_mel.frames(samples, 80).reshape(-1, 80)
    # On Slaney's scale 1 kHz is 15 of the 45.2 mel that 8 kHz has: band 26 of 80.
    assert np.argmax(frames[150]) in (25, 26, 27)


def test_frames_are_those_of_another_implementation() -> None:
    samples = noise(1.0)
    bank = mel_filter_bank(201, 80, 0.0, 8000.0, RATE, norm="slaney", mel_scale="slaney")
    padded = np.pad(samples, 200)
    expected = spectrogram(
        padded, window_function(400, "hann"), 400, 160, power=2.0, center=False,
        mel_filters=bank, log_mel="log10",
    )[:, :100]  # fmt: skip
    expected = np.maximum(expected, expected.max() - 8)
    expected = (expected - expected.mean(1, keepdims=True)) / expected.std(1, keepdims=True)
    assert np.allclose(log_mel.frames(samples, 80).reshape(100, 80), expected.T, atol=2e-3)


def test_frames_are_those_of_before() -> None:
    # Pinned: raise log_mel.REVISION, and with it the digest, when they change.
    rising = np.linspace(0.1, 1, 1600, dtype=np.float32)
    frames = log_mel.frames(_tone(440, 0.1, RATE) * rising + _tone(2500, 0.1, RATE) * 0.1, 80)
    chosen = [float(frames[0, 11]), float(frames[2, 60]), float(frames[4, 131])]
    assert chosen == pytest.approx([-2.3577, -0.4513, -0.2155], abs=2e-3)
    assert log_mel.encoder_digest(80).startswith("c7105006b3b86f37")


def test_a_chunk_names_each_row_that_cannot_be_heard(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0.5), RATE)
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    rows = [Row("a", 1, "a.wav", None), Row("b", 2, "b.wav", None), Row("c", 3, None, None)]
    good, broken, absent = log_mel.extractor(tmp_path, 80, 30.0)(rows)
    assert isinstance(good, Framed)
    assert good.frames.dtype == np.float16
    assert isinstance(broken, Rejected)
    assert "not readable as audio" in broken.reason
    assert absent == Rejected(rows[2], "no audio/c.wav, .flac, .ogg or .mp3")


@pytest.mark.parametrize(
    ("name", "rate", "frames"),
    [("log_mel_50hz", 50.0, 51), ("whisper_50hz", 50.0, 51), ("whisper_12p5hz", 12.5, 13)],
)
def test_a_layout_says_its_rate_and_the_frames_of_a_length(
    name: str, rate: float, frames: int
) -> None:
    layout = layouts.named(name)
    assert layout.rate_hz == rate
    assert layout.frames(1.01) == frames


def test_a_stride_on_frames_that_were_downsampled_before_is_refused() -> None:
    layouts.check_stride("whisper_50hz", 4)
    layouts.check_stride("whisper_12p5hz", 1)
    with pytest.raises(ThunderError, match=r"downsampled to 12\.5 Hz before; use model\.stride=1"):
        layouts.check_stride("whisper_12p5hz", 4)


def test_an_unknown_layout_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ThunderError, match="no feature layout 'mel'; there is log_mel_50hz"):
        layouts.named("mel")
