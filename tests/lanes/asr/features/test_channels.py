"""Which channel is heard is a rule; what has no speech in it is refused with its reason."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from asr_fixtures import RATE, noise

from thunder.lanes.asr.features import audio, channels
from thunder.lanes.asr.features.rows import Rejected, Row


def _write(path: Path, *tracks: np.ndarray, subtype: str = "FLOAT") -> Path:
    soundfile.write(path / "a.wav", np.stack(tracks, axis=1), RATE, subtype=subtype)
    return path / "a.wav"


@pytest.mark.parametrize(("count", "rule"), [(2, "left"), (4, "first")])
def test_channels_that_cancel_are_refused_with_the_rule_that_helps(
    tmp_path: Path, count: int, rule: str
) -> None:
    tracks = [noise(1.0), -noise(1.0)] * (count // 2)
    path = _write(tmp_path, *tracks, subtype="PCM_16")
    with pytest.raises(audio.Unreadable, match=f"its {count} channels cancel when mixed") as caught:
        audio.read(path, 30)
    assert caught.value.told("--channel").endswith(f": hear one, by --channel={rule}")
    of_job = audio.of_row(tmp_path, Row("a", 1, path.name, None), 30)
    assert isinstance(of_job, Rejected)
    assert of_job.reason.endswith(f"): hear one, by features.channel={rule}")
    assert len(audio.read(path, 30, rule).samples) == RATE


@pytest.mark.parametrize("second", [-1.0, -0.95])
def test_a_mix_that_keeps_next_to_nothing_is_refused(tmp_path: Path, second: float) -> None:
    with pytest.raises(audio.Unreadable, match="cancel when mixed"):
        audio.read(_write(tmp_path, noise(1.0), noise(1.0) * second), 30)


@pytest.mark.parametrize("second", [-0.5, 0.0, 1.0])
def test_a_mix_that_keeps_the_speech_is_the_mean(tmp_path: Path, second: float) -> None:
    heard = audio.read(_write(tmp_path, noise(1.0), noise(1.0) * second), 30)
    assert np.allclose(heard.samples, noise(1.0) * (1 + second) / 2, atol=1e-6)


@pytest.mark.parametrize(("rule", "track"), [("left", 0), ("right", 1), ("first", 0)])
def test_a_rule_says_which_channel_is_heard(tmp_path: Path, rule: str, track: int) -> None:
    tracks = [noise(1.0), -noise(1.0) / 2]
    heard = audio.read(_write(tmp_path, *tracks), 30, rule)
    assert np.allclose(heard.samples, tracks[track], atol=1e-6)


@pytest.mark.parametrize("rule", channels.RULES)
def test_one_channel_is_heard_by_every_rule(tmp_path: Path, rule: str) -> None:
    heard = audio.read(_write(tmp_path, noise(1.0)), 30, rule)
    assert np.allclose(heard.samples, noise(1.0), atol=1e-6)


def test_more_than_two_channels_have_no_left(tmp_path: Path) -> None:
    path = _write(tmp_path, *[noise(1.0)] * 6)
    assert np.allclose(audio.read(path, 30, "first").samples, noise(1.0), atol=1e-6)
    with pytest.raises(audio.Unreadable, match=r"6 channels, none of them left$") as caught:
        audio.read(path, 30, "left")
    assert caught.value.channel == "first"


def test_a_channel_that_is_empty_is_silent(tmp_path: Path) -> None:
    with pytest.raises(audio.Unreadable, match="silent"):
        audio.read(_write(tmp_path, noise(1.0), np.zeros(RATE, np.float32)), 30, "right")


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.full(RATE, 0.25), r"nearly silent: no sound at its loudest, beside .* offset of 0\.25"),
        (noise(1.0) / np.abs(noise(1.0)).max() * 1e-4, "nearly silent: -80 dB at its loudest$"),
        (0.5 + noise(1.0) * 1e-5, r"nearly silent: .* beside a constant offset of 0\.5"),
        (noise(1.0)[:48], r"too short: 3\.0 ms"),
        (noise(1.0)[:1], r"too short: 0\.1 ms"),
    ],
)
def test_what_nobody_speaks_in_is_named(tmp_path: Path, samples: np.ndarray, reason: str) -> None:
    with pytest.raises(audio.Unreadable, match=reason):
        audio.read(_write(tmp_path, samples.astype(np.float32)), 30)


def test_quiet_speech_is_speech(tmp_path: Path) -> None:
    quiet = noise(1.0) / np.abs(noise(1.0)).max() * 2e-3
    assert len(audio.read(_write(tmp_path, quiet), 30).samples) == RATE


def test_an_offset_beside_sound_is_told_and_heard(tmp_path: Path) -> None:
    sound = noise(1.0)
    assert channels.offset(sound) == 0
    assert channels.offset(sound + 0.9) == pytest.approx(0.9, abs=0.01)
    assert len(audio.read(_write(tmp_path, sound / 4 + 0.5), 30).samples) == RATE
