"""A small speech synthesizer: the same text and voice give the same samples, for a stand-in.

Source and filter (Fant 1960), with the resonators of Klatt 1980, computed a frame at a time in
the spectrum, so that numpy alone is fast enough.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from thunder.ground import draws
from thunder.lanes.asr.speech.sounds import Sound, Voice, sounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

RATE_HZ = 16000
FRAME, HOP, SIZE = 256, 128, 512  # samples; Hann frames that overlap by half add up to one
STEPS_HZ = 1000  # of what changes slowly: targets, amplitudes, pitch
STEPS = HOP * STEPS_HZ // RATE_HZ
HIGH_FORMANTS_HZ = (3500.0, 4500.0)
BANDWIDTHS_HZ = (220.0, 280.0, 70.0, 100.0, 160.0)  # of the high ones, then of the first three
NOSE_HZ, NOSE_BANDWIDTH_HZ, NOSE_SHIFT_HZ = 260.0, 90.0, 260.0
OPEN = 0.6  # share of a cycle with open vocal folds
LEVELS = (0.05, 0.12)  # RMS of an utterance, drawn between
GLIDE_SECONDS = 0.07  # how long the mouth takes from one target to the next
TONE_SECONDS = 0.09
ATTACK_SECONDS = 0.008
HIGHEST_HISS_HZ = 7000.0

_Z1 = np.exp(-2j * np.pi * np.arange(SIZE // 2 + 1) / SIZE)
_HZ = np.arange(SIZE // 2 + 1) * RATE_HZ / SIZE
_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)


def say(text: str, voice: Voice) -> "NDArray[np.float32]":
    """Return a text as it is spoken by a voice, mono at 16 kHz, between −1 and 1.

    Raises:
        ThunderError: a character that has no sound.
    """
    spoken = sounds(text, voice)
    rng = draws.stream("speech", voice.name, text)
    # RandomState, not default_rng: its numbers are promised to stay as they are.
    noise = np.random.RandomState(int(rng.random() * 2**32))
    ends = np.cumsum([sound.seconds for sound in spoken])
    frames = int(np.ceil(ends[-1] * RATE_HZ / HOP))
    steps = np.arange(frames * STEPS + 1) / STEPS_HZ
    which = np.minimum(np.searchsorted(ends, steps, "right"), len(ends) - 1)
    folds = _folds(spoken, which, voice, phase=rng.random())
    breath = [sound.breath + voice.breath * sound.voice for sound in spoken]
    aspired = 0.5 * _samples(_track(breath, which, ATTACK_SECONDS))
    hiss = _samples(_track([sound.hiss for sound in spoken], which, ATTACK_SECONDS / 2))
    through_mouth = folds + aspired * noise.uniform(-1, 1, len(folds))
    signal = _filtered(through_mouth, _mouth(spoken, which, voice))
    signal += _filtered(hiss * noise.uniform(-1, 1, len(hiss)), _narrow(spoken, which, voice))
    return _finished(signal, noise, voice, level=rng.random())


def _folds(spoken: list[Sound], which: "Array", voice: Voice, phase: float) -> "Array":
    """Return the flow through the vocal folds, differentiated (Rosenberg 1971, type B)."""
    tone = _samples(_track([sound.tone for sound in spoken], which, TONE_SECONDS))
    falling = np.linspace(1.08, 0.88, len(tone))
    cycle = (phase + np.cumsum(voice.pitch_hz * tone * falling) / RATE_HZ) % 1.0
    pulse = np.where(cycle < OPEN, cycle * (2 * OPEN - 3 * cycle), 0.0) / OPEN**2
    return pulse * _samples(_track([sound.voice for sound in spoken], which, ATTACK_SECONDS))


def _mouth(spoken: list[Sound], which: "Array", voice: Voice) -> "Array":
    """Return the response of throat, mouth and nose, (frames, bins)."""
    tracks = [
        _track([sound.formants[i] for sound in spoken], which, GLIDE_SECONDS)[::STEPS]
        for i in range(3)
    ]
    high = [np.array([hz]) for hz in HIGH_FORMANTS_HZ]
    nasal = _track([sound.nasal for sound in spoken], which, GLIDE_SECONDS)[::STEPS]
    response = _resonance(np.array([NOSE_HZ]), NOSE_BANDWIDTH_HZ)
    for hz, width in zip([*high, *tracks], BANDWIDTHS_HZ, strict=True):
        response = response * _resonance(hz * voice.formant_factor, width)
    return _resonance(NOSE_HZ + NOSE_SHIFT_HZ * nasal, NOSE_BANDWIDTH_HZ) / response


def _resonance(hz: "Array", width_hz: float) -> "Array":
    """Return the denominator of a resonator with gain 1 at 0 Hz, (frames, bins)."""
    radius = np.exp(-np.pi * width_hz / RATE_HZ)
    turn = (2 * radius * np.cos(2 * np.pi * hz / RATE_HZ))[:, None]
    gain = 1 / (1 - turn + radius**2)
    return gain * (1 + radius**2 * _Z1**2) - (gain * turn) * _Z1


def _narrow(spoken: list[Sound], which: "Array", voice: Voice) -> "Array":
    """Return the colour of the noise that a constriction makes, (frames, bins)."""
    hz = _track([sound.hiss_hz for sound in spoken], which, ATTACK_SECONDS)[::STEPS, None]
    width = _track([sound.hiss_width_hz for sound in spoken], which, ATTACK_SECONDS)[::STEPS, None]
    hz = np.minimum(hz * (1 + (voice.formant_factor - 1) / 2), HIGHEST_HISS_HZ)
    return np.exp(-0.5 * ((_HZ - hz) / width) ** 2)


def _track(values: list[float], which: "Array", seconds: float) -> "Array":
    """Return a value for every step of time, with the jumps rounded off over so many seconds."""
    track = np.asarray(values)[which]
    width = max(2, int(seconds * STEPS_HZ) // 2)
    before, after = width // 2, width - width // 2
    for turn in range(2):  # a box twice is a triangle, and twice shifted by a half is not shifted
        first, last = (before, after) if turn else (after, before)
        total = np.cumsum(np.pad(track, (first, last), mode="edge"))
        track = (total[width:] - total[:-width]) / width
    return track


def _samples(track: "Array") -> "Array":
    """Return a track with a value for every sample, between its steps on straight lines."""
    each = RATE_HZ // STEPS_HZ
    share = np.arange(each) / each
    return (track[:-1, None] + (track[1:] - track[:-1])[:, None] * share).reshape(-1)


def _filtered(source: "Array", response: "Array") -> "Array":
    """Pass a source through a filter that changes with every frame (overlap and add)."""
    padded = np.concatenate([np.zeros(HOP), source, np.zeros(HOP)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    shaped = np.fft.irfft(np.fft.rfft(frames * _HANN, SIZE) * response, SIZE)
    total = np.zeros((len(frames) + SIZE // HOP, HOP))
    for part in range(SIZE // HOP):
        total[part : part + len(frames)] += shaped[:, part * HOP : (part + 1) * HOP]
    return total.reshape(-1)[HOP : HOP + len(source)]


def _finished(
    signal: "Array", noise: np.random.RandomState, voice: Voice, level: float
) -> "NDArray[np.float32]":
    """Put the room's noise under a signal, and bring it to a level."""
    loud = np.sqrt(np.mean(signal**2))
    room = loud * 10 ** (-voice.noise_db / 20) * np.sqrt(3)
    low, high = LEVELS
    signal = (signal + room * noise.uniform(-1, 1, len(signal))) * (low + (high - low) * level)
    return np.clip(signal / loud, -0.99, 0.99).astype(np.float32)
