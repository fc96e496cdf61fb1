"""The synthesizer: the same samples every time, each letter its own sound, fast enough."""

import time
import unicodedata
from itertools import combinations

import numpy as np
import pytest

from thunder.ground import digest
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.speech import sounds, synthesizer
from thunder.language import sentences

AWA, BAKARY = sounds.VOICES[:2]
TEXT = "karamɔgɔ bɛ taa bamakɔ"


def _spectrum(samples: np.ndarray) -> np.ndarray:
    """Power by FFT bin of 31.25 Hz, mean over frames."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 512)[::128] * np.hanning(512)
    return (np.abs(np.fft.rfft(frames)) ** 2).mean(axis=0)


def _steady(letter: str, voice: sounds.Voice = BAKARY) -> np.ndarray:
    """The sound of a letter drawn out, without its edges."""
    samples = synthesizer.say(letter * 12, voice)
    edge = int(0.2 * synthesizer.RATE_HZ)
    return samples[edge:-edge]


def _share_above(hz: float, samples: np.ndarray) -> float:
    power = _spectrum(samples)
    return float(power[int(hz / 31.25) :].sum() / power.sum())


def test_the_same_text_and_voice_give_the_same_samples() -> None:
    first, second = (synthesizer.say(TEXT, AWA) for _ in range(2))
    assert first.dtype == np.float32
    assert first.tobytes() == second.tobytes()


def test_an_utterance_is_pinned() -> None:
    """May change with sounds.REVISION alone: other samples are another corpus."""
    coded = (synthesizer.say(TEXT, AWA) * 32767).round().astype("<i2")
    assert digest.of_bytes(coded.tobytes())[:12] == "4774fd7d505c"
    assert sounds.REVISION == 1


def test_speech_is_finite_loud_enough_and_never_clipped() -> None:
    for voice in sounds.VOICES:
        for text in sentences.generate(2, 3, "latin"):
            samples = synthesizer.say(text, voice)
            assert np.isfinite(samples).all()
            assert 0.04 < np.sqrt((samples**2).mean()) < 0.14
            assert np.abs(samples).max() < 0.99


def test_the_length_is_that_of_the_sounds() -> None:
    seconds = sum(sound.seconds for sound in sounds.sounds(TEXT, AWA))
    assert len(synthesizer.say(TEXT, AWA)) / synthesizer.RATE_HZ == pytest.approx(seconds, abs=0.01)
    assert 8 < len(TEXT) / seconds < 15  # characters a second, as in Bambara speech


def test_speech_begins_and_ends_in_the_noise_of_the_room() -> None:
    samples = synthesizer.say(TEXT, AWA)
    edge = int(0.07 * synthesizer.RATE_HZ)
    whole, room = (np.sqrt((part**2).mean()) for part in (samples, samples[:edge]))
    assert 20 * np.log10(whole / room) == pytest.approx(AWA.noise_db, abs=1.5)


@pytest.mark.parametrize("letter", "ieɛaɔou")
def test_vowels_are_strongest_where_their_formants_are(letter: str) -> None:
    low, middle = (hz * BAKARY.formant_factor for hz in sounds.SOUNDS[letter][0].formants[:2])
    power = _spectrum(_steady(letter))
    hz = np.arange(len(power)) * 31.25
    valley = 10 ** np.log10(power).mean()
    for formant in (low, middle):
        assert power[np.abs(hz - formant) < 150].max() > 2 * valley


def test_hisses_are_high_and_hums_are_low() -> None:
    assert _share_above(4000, _steady("s")) > 0.8
    assert _share_above(4000, _steady("m")) < 0.05
    assert _share_above(2000, _steady("u")) < _share_above(2000, _steady("i"))


def test_no_two_sounds_are_alike() -> None:
    """What differs in writing differs in log-mel-like bands, by more than the room's noise."""
    bands = {}
    for letter in (unit for unit in sounds.SOUNDS if unit.strip(" ,")):
        samples = synthesizer.say(f"a{letter}a" * 6, BAKARY)
        power = np.log10(_spectrum(samples)[:224].reshape(28, 8).mean(axis=1))
        bands[letter] = power - power.mean()
    for one, other in combinations(bands, 2):
        assert np.abs(bands[one] - bands[other]).max() > 0.08, (one, other)


def test_a_voice_has_its_pitch() -> None:
    for voice in sounds.VOICES:
        samples = _steady("a", voice).astype(float)
        power = np.abs(np.fft.rfft(samples, 1 << 17)) ** 2
        period = synthesizer.RATE_HZ / voice.pitch_hz
        low, high = int(0.7 * period), int(1.4 * period)  # no whole cycle more or less is in it
        lag = low + int(np.fft.irfft(power)[low:high].argmax())
        assert lag == pytest.approx(period, rel=0.15)


def test_voices_differ() -> None:
    lengths = {len(synthesizer.say(TEXT, voice)) for voice in sounds.VOICES}
    assert len(lengths) > 1
    assert len({voice.name for voice in sounds.VOICES}) == len(sounds.VOICES)


def test_a_written_tone_changes_the_pitch_and_no_length() -> None:
    plain, high = (sounds.sounds(text, AWA) for text in ("ba", "bá"))
    assert high[-2].tone / sounds.HIGH > 1 - sounds.TONE_SPREAD
    assert plain[-2].tone < 1 + sounds.TONE_SPREAD
    assert len(high) == len(plain)
    assert sounds.sounds("b" + unicodedata.normalize("NFD", "á"), AWA) == high


def test_an_n_that_ends_a_syllable_opens_the_nose_in_its_vowel() -> None:
    assert [sound.nasal for sound in sounds.sounds("an", AWA)[1:-1]] == [sounds.OPEN_NOSE, 1.0]
    assert [sound.nasal for sound in sounds.sounds("ana", AWA)[1:-1]] == [0.0, 1.0, 0.0]
    assert sounds.sounds("kan na", AWA)[-3].nasal == 1.0  # the second n opens a syllable


def test_letters_that_belong_together_are_one_sound() -> None:
    assert len(sounds.sounds("gba", AWA)) == len(sounds.sounds("ba", AWA))
    assert len(sounds.sounds("nya", AWA)) == len(sounds.sounds("ɲa", AWA))
    assert len(sounds.sounds("n’a", AWA)) == len(sounds.sounds("na", AWA))


def test_a_comma_is_a_longer_pause_than_a_space() -> None:
    space, comma = (
        sum(sound.seconds for sound in sounds.sounds(text, AWA)) for text in ("a a", "a, a")
    )
    assert comma > space + 0.05


@pytest.mark.parametrize(
    ("text", "said"),
    [("kalo 3", "no sound for '3'"), ("ߒߞߏ", "no sound for"), ("ɓa", "no sound for 'ɓ'"),
     ("", "nothing to say"), (" …, ", "nothing to say")],
)  # fmt: skip
def test_what_cannot_be_said_is_refused(text: str, said: str) -> None:
    with pytest.raises(ThunderError, match=said):
        synthesizer.say(text, AWA)


def test_every_generated_sentence_can_be_said() -> None:
    for text in sentences.generate(400, 5, "latin"):
        assert len(sounds.sounds(text, AWA)) > len(text) / 2


def test_speech_is_made_fifty_times_faster_than_it_is_said() -> None:
    texts = sentences.generate(12, 1, "latin")
    synthesizer.say(texts[0], AWA)
    began = time.process_time()
    samples = sum(len(synthesizer.say(text, AWA)) for text in texts)
    spent = time.process_time() - began
    assert samples / synthesizer.RATE_HZ / spent > 50
