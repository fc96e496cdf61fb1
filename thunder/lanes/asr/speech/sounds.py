"""What Bambara letters sound like, as numbers: no signal is made here, and no array is needed.

Vowel formants follow the pattern of seven-vowel systems (Peterson and Barney 1952 for the corner
vowels, e/ɛ and o/ɔ between them); places of consonants follow the loci of Delattre, Liberman and
Cooper 1955. Roughly right is enough: the stand-in has to be learnable, not pleasant.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from thunder.ground import draws
from thunder.ground.errors import ThunderError

REVISION = 1  # raise it when the same text and voice sound otherwise


@dataclass(frozen=True)
class Sound:
    """A stretch of speech with steady targets; amplitudes are relative to a vowel."""

    seconds: float
    formants: tuple[float, float, float] = (500.0, 1500.0, 2500.0)  # Hz
    voice: float = 0.0  # amplitude of the vocal folds
    breath: float = 0.0  # amplitude of noise that passes the formants
    hiss: float = 0.0  # amplitude of noise from a constriction
    hiss_hz: float = 4000.0
    hiss_width_hz: float = 1500.0
    nasal: float = 0.0  # 0: mouth alone, 1: nose open
    tone: float = 1.0  # factor on the pitch


@dataclass(frozen=True)
class Voice:
    """Who speaks."""

    name: str
    pitch_hz: float
    formant_factor: float  # above 1: a shorter vocal tract
    pace: float  # above 1: faster
    breath: float  # noise in the vowels, relative to the folds
    noise_db: float  # of the room, below the speech


VOICES = (
    Voice("awa", 205.0, 1.14, 1.00, 0.04, 22.0),
    Voice("bakary", 112.0, 0.97, 0.94, 0.02, 26.0),
    Voice("fanta", 182.0, 1.10, 1.08, 0.06, 20.0),
    Voice("moussa", 132.0, 1.00, 1.05, 0.03, 24.0),
    Voice("seku", 98.0, 0.94, 1.00, 0.02, 18.0),
    Voice("tenin", 226.0, 1.17, 0.96, 0.05, 24.0),
)
# What varies between two times of saying the same, by so much to either side.
PACE_SPREAD, SECONDS_SPREAD, FORMANT_SPREAD, TONE_SPREAD = 0.12, 0.3, 0.12, 0.08
EDGE_SECONDS = 0.10  # silence before and after
HIGH, LOW = 1.12, 0.9  # pitch of a marked tone


def _vowel(*formants: float) -> tuple[Sound, ...]:
    return (Sound(0.095, (formants[0], formants[1], formants[2]), voice=1.0),)


def _nasal(f2: float, f3: float) -> tuple[Sound, ...]:
    return (Sound(0.085, (270.0, f2, f3), voice=0.5, nasal=1.0),)


def _stop(
    locus: tuple[float, float, float], burst_hz: float, width_hz: float, voiced: bool
) -> tuple[Sound, ...]:
    closure = Sound(0.065, (200.0, *locus[1:]), voice=0.18 if voiced else 0.0)
    burst = Sound(
        0.014, locus, voice=0.2 if voiced else 0.0, hiss=0.45 if voiced else 0.8,
        hiss_hz=burst_hz, hiss_width_hz=width_hz,
    )  # fmt: skip
    return (closure, burst) if voiced else (closure, burst, Sound(0.022, locus, breath=0.35))


def _hiss(
    locus: tuple[float, float, float], hz: float, width_hz: float, hiss: float, voice: float = 0.0
) -> Sound:
    return Sound(0.095, locus, voice=voice, hiss=hiss, hiss_hz=hz, hiss_width_hz=width_hz)


_LIPS = (320.0, 900.0, 2200.0)
_TEETH = (320.0, 1750.0, 2650.0)
_PALATE = (280.0, 2200.0, 3000.0)
_VELUM = (320.0, 1350.0, 2050.0)
_BOTH = (300.0, 750.0, 2100.0)

SOUNDS: dict[str, tuple[Sound, ...]] = {
    "i": _vowel(280, 2250, 2950), "e": _vowel(390, 2050, 2650), "ɛ": _vowel(570, 1820, 2500),
    "a": _vowel(760, 1300, 2450), "ɔ": _vowel(570, 900, 2450), "o": _vowel(420, 760, 2350),
    "u": _vowel(300, 680, 2250),
    "p": _stop(_LIPS, 900, 700, voiced=False), "b": _stop(_LIPS, 700, 600, voiced=True),
    "t": _stop(_TEETH, 4300, 1200, voiced=False), "d": _stop(_TEETH, 3900, 1200, voiced=True),
    "k": _stop(_VELUM, 1900, 500, voiced=False), "g": _stop(_VELUM, 1700, 500, voiced=True),
    "kp": _stop(_BOTH, 1200, 500, voiced=False), "gb": _stop(_BOTH, 1000, 500, voiced=True),
    "c": (Sound(0.05, _PALATE), replace(_hiss(_PALATE, 3200, 700, 0.55), seconds=0.06)),
    "j": (
        Sound(0.05, (200.0, *_PALATE[1:]), voice=0.18),
        replace(_hiss(_PALATE, 2900, 700, 0.35, 0.3), seconds=0.055),
    ),
    "f": (_hiss(_LIPS, 5200, 2600, 0.22),), "v": (_hiss(_LIPS, 5000, 2600, 0.14, 0.35),),
    "s": (_hiss(_TEETH, 6300, 900, 0.5),), "z": (_hiss(_TEETH, 6000, 900, 0.3, 0.35),),
    "sh": (_hiss(_PALATE, 3300, 800, 0.5),), "kh": (_hiss(_VELUM, 1600, 500, 0.35),),
    "h": (Sound(0.075, (500.0, 1500.0, 2500.0), breath=0.45),),
    "m": _nasal(950, 2150), "n": _nasal(1550, 2500), "ɲ": _nasal(2150, 2900),
    "ŋ": _nasal(1250, 1950),
    "l": (Sound(0.075, (360.0, 1250.0, 2750.0), voice=0.6),),
    "r": (
        Sound(0.03, (430.0, 1400.0, 1750.0), voice=0.6),
        Sound(0.028, (330.0, 1400.0, 1700.0), voice=0.16),
        Sound(0.03, (430.0, 1400.0, 1750.0), voice=0.6),
    ),
    "w": (Sound(0.075, (300.0, 640.0, 2150.0), voice=0.55),),
    "y": (Sound(0.075, (270.0, 2250.0, 3100.0), voice=0.55),),
    " ": (Sound(0.025),),
    ",": (Sound(0.18),),
}  # fmt: skip
SPELT = {"ny": ("ɲ",), "ch": ("c",), "q": ("k",), "x": ("k", "s")}
CODA = Sound(0.05, (270.0, 1550.0, 2500.0), voice=0.45, nasal=1.0)  # n that closes a syllable
OPEN_NOSE = 0.7  # of a vowel before such an n
PAUSES = frozenset('.,;:!?…–()«»"“”')
SILENT = frozenset("’'-")
_UNITS = sorted([*SOUNDS, *SPELT], key=len, reverse=True)
_PATTERN = re.compile("|".join(map(re.escape, _UNITS)))
_TONES = {"\u0301": HIGH, "\u0300": LOW, "\u0302": LOW, "\u030c": HIGH}
_VOWELS = frozenset("aeiouɛɔ")


def sounds(text: str, voice: Voice) -> list[Sound]:
    """Return what a voice does to say a text; no two times are quite the same, as with people.

    Raises:
        ThunderError: a character that has no sound here, or no sound at all.
    """
    text = " ".join(unicodedata.normalize("NFC", text).lower().split())
    rng = draws.stream("sounds", voice.name, text)
    pace = voice.pace * _varied(rng, PACE_SPREAD)
    edge = Sound(EDGE_SECONDS)
    spoken = [edge]
    units = _spelt(text)
    if not any(unit.strip(", ") for unit, _ in units):
        raise ThunderError(f"nothing to say in {text!r}", "data")
    for parts, tone in _closed(units):
        accent = tone * _varied(rng, TONE_SPREAD)
        for sound in parts:
            one, two, three = (hz * _varied(rng, FORMANT_SPREAD) for hz in sound.formants)
            seconds = sound.seconds / pace * _varied(rng, SECONDS_SPREAD)
            spoken.append(replace(sound, seconds=seconds, formants=(one, two, three), tone=accent))
    return [*spoken, edge]


def _varied(rng: Random, spread: float) -> float:
    return 1 + spread * (2 * rng.random() - 1)


def _closed(units: list[tuple[str, float]]) -> Iterator[tuple[tuple[Sound, ...], float]]:
    """Yield the sounds of units; an n that ends a syllable opens the nose in its vowel."""
    names = [" ", *(unit for unit, _ in units), " ", " "]
    for at, (unit, tone) in enumerate(units, 1):
        if _is_coda(names, at):
            yield (CODA,), tone
        elif _is_coda(names, at + 1):
            yield tuple(replace(sound, nasal=OPEN_NOSE) for sound in SOUNDS[unit]), tone
        else:
            yield SOUNDS[unit], tone


def _is_coda(names: list[str], at: int) -> bool:
    return names[at] == "n" and names[at - 1] in _VOWELS and names[at + 1] not in _VOWELS


def _spelt(text: str) -> list[tuple[str, float]]:
    """Return the units of a text, each with the factor that its tone puts on the pitch."""
    units: list[tuple[str, float]] = []
    plain = unicodedata.normalize("NFD", text)
    at = 0
    while at < len(plain):
        char = plain[at]
        if match := _PATTERN.match(plain, at):
            units += [(name, 1.0) for name in SPELT.get(match[0], (match[0],))]
            at = match.end()
            continue
        if char in _TONES and units:
            units[-1] = (units[-1][0], _TONES[char])
        elif char in PAUSES:
            units.append((",", 1.0))
        elif char not in SILENT:
            raise ThunderError(f"no sound for {char!r} in {text!r}; letters are spoken", "data")
        at += 1
    return units
