"""A length is what was decoded: no header is believed, and what is not whole is named."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from asr_fixtures import RATE, noise

from thunder.lanes.asr.features import audio, flac, mp3


def _mp3(path: Path, mode: str, seconds: float = 2.0, rate: int = RATE, channels: int = 1) -> bytes:
    """Write an MP3 file; return its bytes."""
    loudness = np.linspace(0.01, 1, round(seconds * rate))  # so that frames of VBR differ
    samples = np.stack([noise(seconds, rate=rate) * loudness] * channels, axis=1)
    soundfile.write(path, samples, rate, format="MP3", bitrate_mode=mode, compression_level=0.5)
    return path.read_bytes()


def _without_xing(data: bytes) -> bytes:
    """Return an MP3 file but for its first frame, which counts the others."""
    return data[data.index(data[:2], 4) :]


def _read(path: Path, data: bytes, seconds: float = 30) -> audio.Audio:
    path.write_bytes(data)
    return audio.read(path, seconds)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("tail", [0, 300, 5000])
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 1), (44_100, 2), (48_000, 1)])
def test_an_mp3_without_a_header_of_its_length_is_as_long_as_its_frames(
    tmp_path: Path, mode: str, tail: int, rate: int, channels: int
) -> None:
    data = _mp3(tmp_path / "a.mp3", mode, rate=rate, channels=channels)
    # Encoders fill up the last frame, and their delay, 1,105 samples, is not taken off here.
    heard = _read(tmp_path / "b.mp3", _without_xing(data) + bytes(tail))
    assert heard.duration_s == pytest.approx(2.0, abs=3 * 1152 / rate)
    assert heard.duration_s > 2.0
    assert not heard.is_cut
    assert len(heard.samples) == pytest.approx(heard.duration_s * RATE, abs=1)


def test_a_guessed_length_hides_no_speech(tmp_path: Path) -> None:
    data = _mp3(tmp_path / "a.mp3", "VARIABLE")
    (tmp_path / "b.mp3").write_bytes(_without_xing(data))
    with soundfile.SoundFile(tmp_path / "b.mp3") as file:
        assert file.frames != 33_408  # what libsndfile guesses
    heard = audio.read(tmp_path / "b.mp3", 30)
    whole = audio.read(tmp_path / "a.mp3", 30)
    same = heard.samples[1105 : 1105 + len(whole.samples)]
    assert np.allclose(same, whole.samples, atol=1e-6)
    cut = audio.read(tmp_path / "b.mp3", 1.0)
    assert (len(cut.samples), cut.is_cut, cut.duration_s) == (RATE, True, heard.duration_s)
    assert np.allclose(cut.samples, heard.samples[:RATE], atol=1e-6)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_that_counts_its_frames_is_read_as_it_is(tmp_path: Path, mode: str) -> None:
    data = _mp3(tmp_path / "a.mp3", mode)
    assert mp3.uncounted(data) is None
    expected, _ = soundfile.read(tmp_path / "a.mp3", dtype="float32")
    assert np.allclose(audio.read(tmp_path / "a.mp3", 30).samples, expected, atol=1e-6)


def test_an_id3_tag_is_no_sound(tmp_path: Path) -> None:
    tag = b"ID3\x03\0\0\0\0\x02\x00" + bytes(256)
    body = _without_xing(_mp3(tmp_path / "a.mp3", "VARIABLE"))
    plain, tagged = (_read(tmp_path / "b.mp3", data) for data in (body, tag + body))
    assert np.allclose(plain.samples, tagged.samples, atol=1e-6)


_TAG = b"ID3\x03\0\0\0\0\x06\x00" + b"\x55" * 768


@pytest.mark.parametrize("tag", [b"", _TAG])
@pytest.mark.parametrize(
    "before", [bytes(60_000), b"\x55", b"\xff" * 1441, b"\0" + b"\x55" * 1441, b"\xff\xff\x55"]
)
def test_what_may_stand_before_the_first_frame_of_an_mp3_hides_no_other_frame(
    tmp_path: Path, tag: bytes, before: bytes
) -> None:
    body = _without_xing(_mp3(tmp_path / "a.mp3", "VARIABLE"))
    whole = _read(tmp_path / "b.mp3", body)
    assert np.array_equal(_read(tmp_path / "b.mp3", tag + before + body).samples, whole.samples)


@pytest.mark.parametrize("tag", [b"", _TAG])
@pytest.mark.parametrize("is_counted", [False, True])
def test_more_than_one_frame_before_the_first_one_of_an_mp3_is_refused(
    tmp_path: Path, tag: bytes, is_counted: bool
) -> None:
    data = _mp3(tmp_path / "a.mp3", "VARIABLE")
    body = data if is_counted else _without_xing(data)
    for count in (1442, 60_000):
        with pytest.raises(
            audio.Unreadable, match=f"^broken: {count} bytes before its first frame are none$"
        ):
            _read(tmp_path / "b.mp3", tag + b"\x55" * count + body)
    with pytest.raises(audio.Unreadable, match=r"no frame of MP3 near its beginning$"):
        _read(tmp_path / "b.mp3", tag + b"\x55" * 70_000 + body)


def test_two_mp3_files_joined_are_as_long_as_both(tmp_path: Path) -> None:
    data = _mp3(tmp_path / "a.mp3", "CONSTANT")
    assert _read(tmp_path / "b.mp3", data + data).duration_s == pytest.approx(4.0, abs=0.3)


@pytest.mark.parametrize("hole", [b"\x55", b"\x55" * 500, b"\xff" * 500, bytes(500)])
@pytest.mark.parametrize("is_counted", [False, True])
def test_an_mp3_with_a_hole_is_broken_and_not_cut(
    tmp_path: Path, hole: bytes, is_counted: bool
) -> None:
    data = _mp3(tmp_path / "a.mp3", "CONSTANT")
    data = data if is_counted else _without_xing(data)
    middle = data.index(data[:2], len(data) // 2)
    with pytest.raises(audio.Unreadable, match=r"^broken: \d+ bytes after \d+ frames are none$"):
        _read(tmp_path / "b.mp3", data[:middle] + hole + data[middle:])


_APE = b"APETAGEX\xd0\7\0\0" + (132).to_bytes(4, "little") + bytes(16 + 100)
_APE += b"APETAGEX" + bytes(24)


@pytest.mark.parametrize("tag", [b"TAG" + b"x" * 125, _APE, _APE + b"TAG" + b"x" * 125])
def test_tags_at_the_end_and_between_mp3_files_are_no_hole(tmp_path: Path, tag: bytes) -> None:
    data = _without_xing(_mp3(tmp_path / "a.mp3", "CONSTANT"))
    once = _read(tmp_path / "b.mp3", data).duration_s
    for whole, times in ((data + tag, 1), (data + bytes(99) + tag, 1), (data + tag + data, 2)):
        assert _read(tmp_path / "b.mp3", whole).duration_s == pytest.approx(times * once)
    lyrics = b"LYRICSBEGIN" + b"x" * 200 + b"LYRICS200" + tag
    assert _read(tmp_path / "b.mp3", data + lyrics).duration_s == once


def _with_total(data: bytes, samples: int) -> bytes:
    """Return a FLAC file whose header claims a number of samples."""
    kept = data[21] & 0xF0
    return data[:21] + bytes([kept]) + samples.to_bytes(4, "big") + data[26:]


@pytest.mark.parametrize("claimed", [0, 5_000, 31_999, 32_000])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_flac_is_as_long_as_its_frames(tmp_path: Path, claimed: int, subtype: str) -> None:
    soundfile.write(tmp_path / "a.flac", noise(2.0), RATE, subtype=subtype)
    expected, _ = soundfile.read(tmp_path / "a.flac", dtype="float32")
    heard = _read(tmp_path / "b.flac", _with_total((tmp_path / "a.flac").read_bytes(), claimed))
    assert np.array_equal(heard.samples, expected)
    assert heard.duration_s == 2.0


@pytest.mark.parametrize("largest", [None, 0])
@pytest.mark.parametrize("claimed", [0, 480_000])
def test_a_truncated_flac_is_told_at_once(
    tmp_path: Path, largest: int | None, claimed: int
) -> None:
    """Every frame may be the last one: summing each to the end took minutes."""
    soundfile.write(tmp_path / "a.flac", noise(30.0) / 4, RATE, subtype="PCM_24")
    data = _with_total((tmp_path / "a.flac").read_bytes(), claimed)[:1_000_000]
    if largest is not None:
        data = data[:15] + largest.to_bytes(3, "big") + data[18:]
    began = time.process_time()
    with pytest.raises(audio.Unreadable, match=r"truncated|not readable"):
        _read(tmp_path / "b.flac", data)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("samples", [1, 500, 4_096, 4_097, 40_000])
def test_a_flac_whose_header_is_right_is_read_as_it_is(tmp_path: Path, samples: int) -> None:
    soundfile.write(tmp_path / "a.flac", noise(3.0)[:samples], RATE)
    assert flac.corrected((tmp_path / "a.flac").read_bytes()) is None


def _written(path: Path, suffix: str) -> bytes:
    soundfile.write(path.with_suffix(suffix), noise(2.0), RATE)
    return path.with_suffix(suffix).read_bytes()


def _declared(data: bytes, size: int) -> bytes:
    at = data.index(b"data") + 4
    return data[:at] + size.to_bytes(4, "little") + data[at + 4 :]


@pytest.mark.parametrize(
    ("suffix", "change", "reason"),
    [
        (".wav", lambda data: data[:-30_000], "truncated: 34000 of 64000 bytes of sound"),
        (".wav", lambda data: _declared(data, 0), "says 0 bytes of sound, and 64000 more follow"),
        (".wav", lambda data: _declared(data, 1000), "says 1000 bytes of sound, and 63000 more"),
        (".flac", lambda data: _with_total(data, 64_000), "truncated: 32000 of 64000 samples"),
        (".flac", lambda data: _with_total(data[:-9], 0), "truncated: its last frame is not whole"),
        (".flac", lambda data: data[:-9], "truncated|not readable"),
        (".flac", lambda data: data[:40], "truncated: 40 bytes are less than its header"),
        (".flac", lambda data: data + data, "several recordings in one file"),
        (".ogg", lambda data: data[: len(data) // 2], "truncated: no page of its .* is the last"),
        (".ogg", lambda data: data[:-9], "truncated: no page"),
        (".ogg", lambda data: data + data, "several recordings in one file"),
        (".mp3", lambda data: data[:-9], r"truncated: its last frame has \d+ of \d+ bytes"),
        (".mp3", lambda data: data[: data.rindex(data[:2])], r"truncated: 31\d+ of 32000 samples"),
        (".mp3", lambda data: data[:5000] + bytes(900), r"truncated: \d+ of 5\d frames"),
        (".mp3", lambda data: _without_xing(data)[:-9], "truncated: its last frame"),
    ],
)
def test_what_is_not_whole_is_named(
    tmp_path: Path, suffix: str, change: Callable[[bytes], bytes], reason: str
) -> None:
    data = _written(tmp_path / "a", suffix)
    with pytest.raises(audio.Unreadable, match=reason):
        _read(tmp_path / f"b{suffix}", change(data))


def test_what_stands_behind_the_sound_of_a_wave_is_no_sound(tmp_path: Path) -> None:
    data = _written(tmp_path / "a", ".wav")
    for more in (b"LIST\x04\0\0\0abcd", b"id3 \x50\0\0\0" + b"\xff" * 80, bytes(400)):
        assert _read(tmp_path / "b.wav", data + more).duration_s == 2.0


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]
)
@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_kind_of_wave_is_heard(
    tmp_path: Path, subtype: str, rate: int, channels: int
) -> None:
    samples = np.stack([noise(1.0, rate=rate)] * channels, axis=1)
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype=subtype)
    heard = audio.read(tmp_path / "a.wav", 30)
    assert (len(heard.samples), heard.duration_s) == (RATE, 1.0)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("named", ["wav", "flac", "ogg", "mp3"])
def test_a_file_is_read_as_what_it_is_not_as_it_is_named(
    tmp_path: Path, suffix: str, named: str
) -> None:
    soundfile.write(tmp_path / f"a.{suffix}", noise(1.0), RATE)
    heard = _read(tmp_path / f"b.{named}", (tmp_path / f"a.{suffix}").read_bytes())
    assert heard.duration_s == pytest.approx(1.0, abs=0.15)
