"""Latin Manding spelling in N'Ko letters: the public bridge as it is, and the standard one."""

import re
import unicodedata
from dataclasses import dataclass

from thunder.ground.errors import ThunderError

V1_COMPAT = "v1_compat"
V2_STANDARD = "v2_standard"
# A name is stamped on all that is made with it: a table that changes gets a new name.
VERSIONS = (V1_COMPAT, V2_STANDARD)


@dataclass(frozen=True)
class Table:
    """Letters and what they become, and the pattern that finds the longest of them."""

    letters: dict[str, str]
    pattern: re.Pattern[str]


def to_nko(text: str, version: str) -> str:
    """Return a Latin text in N'Ko letters; characters that have none stay as they are.

    `v1_compat` is the public bridge of nko-brain-scanner (3b510cd), faults included, but for
    knowing every apostrophe. `v2_standard` follows the romanisation tables of ALA-LC and KNAB: it
    writes no tone and drops the accents that show it, writes a long vowel twice (N'Ko's marks of
    length say the tone as well), and leaves out no vowel that the next syllable repeats, as N'Ko
    spelling may. What the two do differently: docs/asr.md, The bridge.
    """
    if version == V1_COMPAT:
        return _v1(text)
    if version == V2_STANDARD:
        return _v2(text)
    raise ThunderError(f"no bridge {version!r}; there is {', '.join(VERSIONS)}")


def _v1(text: str) -> str:
    latin = unicodedata.normalize("NFD", _APOSTROPHES.sub("'", text.lower()))
    return _replace(_replace(latin, _V1_SOUNDS), _V1_LETTERS)


def _v2(text: str) -> str:
    latin = unicodedata.normalize("NFD", _APOSTROPHES.sub("’", text.lower()))
    latin = _DROPPED.sub("", _TONES.sub("", latin))
    nasal = _SYLLABIC.sub("ߒ", _CODA.sub(_NASAL, latin))
    nko = _replace(nasal, _V2_LETTERS)
    nko = _AFTER_NASAL.sub(lambda match: _AFTER_NASAL_LETTERS[match[0]], nko)
    return unicodedata.normalize("NFC", nko)


def _replace(text: str, table: Table) -> str:
    return table.pattern.sub(lambda match: table.letters[match[0]], text)


def _table(letters: dict[str, str]) -> Table:
    longest_first = sorted(letters, key=len, reverse=True)
    return Table(letters, re.compile("|".join(map(re.escape, longest_first))))


_APOSTROPHES = re.compile("['`´ʼʻ‘’′ʔ]")
_DIGITS = {str(number): chr(0x07C0 + number) for number in range(10)}

# The public bridge, stage one: Latin letters (NFD) to sounds. What is not here stays.
_V1_SOUNDS = _table({
    "ch": "tʃ", "sh": "ʃ", "th": "θ", "dh": "ð", "gh": "ɣ", "kh": "x", "ng": "ŋ", "ny": "ɲ",
    "ph": "f", "wh": "w", "dj": "dʒ", "nk": "ŋk", "gb": "gb", "rr": "rr",
    "c": "tʃ", "j": "dʒ", "q": "k", "x": "ks", "y": "j", "'": "ʔ",
})  # fmt: skip
# Stage two: sounds to N'Ko. Four vowels are permuted; g and gb, and s, z and sh, fall together.
_V1_LETTERS = _table({
    "dʒ": "ߖ", "tʃ": "ߗ", "gb": "ߜ", "rr": "ߚ",
    "a": "ߊ", "e": "ߍ", "i": "ߌ", "o": "ߋ", "u": "ߎ", "ɔ": "ߏ", "ɛ": "ߐ", "ə": "ߐ",
    "b": "ߓ", "d": "ߘ", "f": "ߝ", "g": "ߜ", "h": "ߤ", "j": "ߦ", "k": "ߞ", "l": "ߟ", "m": "ߡ",
    "n": "ߣ", "p": "ߔ", "r": "ߙ", "s": "ߛ", "t": "ߕ", "w": "ߥ", "z": "ߛ",
    "ŋ": "ߧ", "ɲ": "ߢ", "ʃ": "ߛ",
    "\u0301": "\u07eb", "\u0300": "\u07ec", "\u0302": "\u07ed", "\u030c": "\u07ee",
    "\u0303": "\u07f3", ",": "߸", ".": "߹", "!": "߷", "-": "\u07fa", **_DIGITS,
})  # fmt: skip

_NASAL = "\u0303"  # a nasal vowel on its way from Latin to N'Ko
_V2_LETTERS = _table({
    "a": "ߊ", "e": "ߋ", "i": "ߌ", "ɛ": "ߍ", "u": "ߎ", "o": "ߏ", "ɔ": "ߐ",
    "ə": "ߋ\u07f3", "o\u0308": "ߋ\u07f3", "u\u0308": "ߎ\u07f3", _NASAL: "\u07f2",
    "b": "ߓ", "p": "ߔ", "t": "ߕ", "j": "ߖ", "dj": "ߖ", "c": "ߗ", "ch": "ߗ", "d": "ߘ",
    "r": "ߙ", "rr": "ߚ", "s": "ߛ", "sh": "ߛ\u07ed", "ʃ": "ߛ\u07ed", "g": "ߜ\u07ed", "gb": "ߜ",
    "kp": "ߜ\u07f3", "f": "ߝ", "ph": "ߝ", "v": "ߝ\u07ed", "k": "ߞ", "q": "ߞ", "kh": "ߞ\u07ed",
    "x": "ߞߛ", "l": "ߟ", "m": "ߡ", "ɲ": "ߢ", "ny": "ߢ", "n": "ߣ", "ŋ": "ߢ\u07ed", "h": "ߤ",
    "w": "ߥ", "y": "ߦ", "z": "ߖ\u07ed", "zh": "ߗ\u07ed",
    "’": "\u07f4", ",": "߸", ";": "؛", "?": "؟", "!": "߹", **_DIGITS,
})  # fmt: skip
_TONES = re.compile("[\u0300\u0301\u0302\u0304\u030c]")
_VOWEL = "[aeiouɛɔə]"
_DROPPED = re.compile(f"(?<![^\\W\\d_])’|’(?!{_VOWEL})")  # an apostrophe for no lost vowel
_CODA = re.compile(f"(?<=[aeiouɛɔə\u0308])\u0303?(?:n(?!’?{_VOWEL}|y)|ŋ(?!’?{_VOWEL}))")
_SYLLABIC = re.compile(f"(?<![\\w’\u0300-\u036f])n(?!’?{_VOWEL}|y)|ŋ(?!’?{_VOWEL})")
# After a nasal, n and ny have letters of their own; a dotted one is ŋ and stays.
_AFTER_NASAL = re.compile("(?<=[\u07f2\u07d2])[ߣߢ](?!\u07ed)")
_AFTER_NASAL_LETTERS = {"ߣ": "ߠ", "ߢ": "ߧ"}
