"""Text of one script: its normal form, its clusters, and which characters belong to it."""

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import cache

from thunder.ground.errors import ThunderError

NORMALISER_VERSION = 1  # raise it when `normalise` or `group_key` gives another text
SCORED_VERSION = 1  # raise it when `scored` gives another text: other targets, other error rates
VARIANTS = ("raw", "norm", "toneless")
MAIN = "norm"  # the variant that is learned, counted and compared
# nko: its apostrophes and commas; latin: accents are tones; plain: accents are letters.
NORMALISERS = ("nko", "latin", "plain")

_INVISIBLE = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff\u07fa]")
_APOSTROPHES = re.compile("['`´ʼʻ‘’′ʔ]")
_ARABIC_COMMA = str.maketrans({"،": "߸"})
_TONE_APOSTROPHE = "\u07f4"
FOREIGN_DOT = "\u07ed"  # the mark of foreign letters: g, z, v, … are a letter and this mark

# What may be punctuation or invisible: neither a letter, a digit, a space nor a common mark.
_ODD = re.compile("[^\\w\\s\u0300-\u036f\u07eb-\u07f3\u07fd]|_")
_HYPHENS = re.compile("[\u2010\u2011]")
_JOINERS = "’-"  # between two letters they are letters of the Latin vocabulary
_LOOSE_JOINER = re.compile("(?<![\\w\u0300-\u036f])[’-]|[’-](?!\\w)")
# A dot on a consonant makes another letter of it (g of gb); on anything else it is a rising tone.
_NKO_TONES = re.compile("(?<![\u07d3-\u07ea])\u07ed|[\u07eb\u07ec\u07ee-\u07f1\u07f4\u07f5]")
_LATIN_TONES = re.compile("[\u0300\u0301\u0302\u030c]")


@dataclass(frozen=True)
class Script:
    """The letters of a script, as the noise and the filters need them."""

    name: str
    normaliser: str  # one of NORMALISERS
    vowels: frozenset[str]
    nasals: frozenset[str]  # consonants that can close a syllable
    nasal_marks: frozenset[str]
    vowel_pairs: dict[str, str]
    voicing_pairs: dict[str, str]
    confusable_pairs: dict[str, str]
    punctuation: frozenset[str]
    pattern: re.Pattern[str]  # one character of the script: letter, digit or mark


def script(name: str) -> Script:
    """Return a script by its name."""
    if name not in SCRIPTS:
        raise ThunderError(f"no script {name!r}; there is {', '.join(sorted(SCRIPTS))}")
    return SCRIPTS[name]


@cache
def form(name: str, normaliser: str | None = None) -> Script:
    """Return the rules of a script: of a built-in one, or of any other under a normaliser."""
    if normaliser is None:
        return script(name)
    if normaliser not in NORMALISERS:
        known = ", ".join(NORMALISERS)
        raise ThunderError(f"script {name!r}: no normaliser {normaliser!r}; there is {known}")
    base = SCRIPTS.get(normaliser, _PLAIN)
    return replace(base, name=name, pattern=_PLAIN.pattern)


def normalise(text: str, script: Script) -> str:
    """Return the one spelling of a text: NFC, nothing invisible, one apostrophe, one space."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    if script.normaliser == "nko":
        text = _nko_apostrophes(text.translate(_ARABIC_COMMA), script)
    else:
        text = _APOSTROPHES.sub("’", text)
    return unicodedata.normalize("NFC", " ".join(text.split()))


def group_key(text: str, script: Script) -> str:
    """Return what two texts share when they count as the same: case and punctuation put aside."""
    kept = ("" if char in script.punctuation else char for char in normalise(text, script))
    return " ".join("".join(kept).casefold().split())


def scored(text: str, script: Script | str, variant: str) -> str:
    """Return what is compared when a text is scored.

    Args:
        variant: `raw` is NFC alone; `norm` also puts case, punctuation and whatever is invisible
            aside; `toneless` is `norm` without marks of tone. Nasality and foreign dots stay.
    """
    form = _form(script)
    if variant == "raw":
        return unicodedata.normalize("NFC", text)
    if variant == "norm":
        return _norm(text, form)
    if variant == "toneless":
        return _toneless(text, form)
    raise ThunderError(f"no variant {variant!r} of a text; there is {', '.join(VARIANTS)}")


def variants(script: Script) -> tuple[str, ...]:
    """Return the variants that are of their own: accents that are letters are no tones."""
    return VARIANTS[:-1] if script.normaliser == "plain" else VARIANTS


def clusters(text: str) -> list[str]:
    """Split a text into base characters, each with the marks that belong to it."""
    parts: list[str] = []
    for char in text:
        if parts and is_mark(char):
            parts[-1] += char
        else:
            parts.append(char)
    return parts


@cache
def is_mark(char: str) -> bool:
    """Whether a character is a combining mark, which cannot stand alone."""
    return unicodedata.category(char).startswith("M")


def has_orphan_mark(text: str) -> bool:
    """Whether a mark stands at the start, after a space, or on anything but a letter."""
    return any(
        is_mark(cluster[0]) or (len(cluster) > 1 and not cluster[0].isalpha())
        for cluster in clusters(text)
    )


@cache
def is_control(char: str) -> bool:
    """Whether a character has no place in a text: control, unassigned, private, invisible."""
    return char == "\ufffd" or unicodedata.category(char) in {"Cc", "Cf", "Cn", "Co", "Cs"}


def purity(text: str, script: Script) -> float:
    """Return the share of characters that are of the script, its punctuation, or a space."""
    if not text:
        return 0.0
    foreign = sum(
        1
        for char in text
        if not (char == " " or char in script.punctuation or script.pattern.match(char))
    )
    return 1 - foreign / len(text)


def _form(given: Script | str) -> Script:
    return given if isinstance(given, Script) else script(given)


def _norm(text: str, script: Script) -> str:
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    # Before the apostrophes: it can bring one (of ŉ), and undo the normal form.
    text = unicodedata.normalize("NFC", text.casefold())
    if script.normaliser == "nko":
        text = _ODD.sub(_visible, _nko_apostrophes(text, script))
    else:
        text = _HYPHENS.sub("-", _APOSTROPHES.sub("’", text))
        text = _LOOSE_JOINER.sub("", _ODD.sub(_joiner_or_visible, text))
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _toneless(text: str, script: Script) -> str:
    if script.normaliser == "plain":
        return _norm(text, script)
    if script.normaliser == "latin":
        return _norm(_LATIN_TONES.sub("", unicodedata.normalize("NFD", text)), script)
    # Last, because an apostrophe becomes a mark of tone by the normal form.
    plain = _NKO_TONES.sub("", _norm(text, script))
    return unicodedata.normalize("NFC", " ".join(plain.split()))


def _joiner_or_visible(match: re.Match[str]) -> str:
    return match[0] if match[0] in _JOINERS else _visible(match)


def _visible(match: re.Match[str]) -> str:
    return "" if _is_put_aside(match[0]) else match[0]


@cache
def _is_put_aside(char: str) -> bool:
    """Whether a character is punctuation or cannot be seen."""
    category = unicodedata.category(char)
    return category.startswith("P") or category in ("Cc", "Cf")


def _nko_apostrophes(text: str, script: Script) -> str:
    """Keep an apostrophe that stands for a lost vowel before another vowel; drop the others."""

    def replace(match: re.Match[str]) -> str:
        is_elision = match[0] != "ʔ" and text[match.end() : match.end() + 1] in script.vowels
        return _TONE_APOSTROPHE if is_elision else ""

    return _APOSTROPHES.sub(replace, text)


def _both_ways(*pairs: str) -> dict[str, str]:
    both: dict[str, str] = {}
    for pair in pairs:
        left, right = pair.split("/")
        both |= {left: right, right: left}
    return both


_LATIN = Script(
    name="latin",
    normaliser="latin",
    vowels=frozenset("aeiouɛɔ"),
    nasals=frozenset("nmŋ"),
    nasal_marks=frozenset(),
    vowel_pairs=_both_ways("e/ɛ", "o/ɔ"),
    voicing_pairs=_both_ways("t/d", "k/g", "s/z"),
    confusable_pairs=_both_ways("r/l", "b/p", "n/m", "c/j"),
    punctuation=frozenset('.,;:!?«»"“”()-–…’'),
    pattern=re.compile("[a-zA-Z0-9ɛɔɲŋƐƆƝŊàáèéìíòóùúâêîôûǎěǐǒǔ\u0300\u0301\u0302\u030c]"),
)
_NKO = Script(
    name="nko",
    normaliser="nko",
    vowels=frozenset("ߊߋߌߍߎߏߐ"),
    nasals=frozenset("ߣߡ"),
    nasal_marks=frozenset("\u07f2"),
    vowel_pairs=_both_ways("ߋ/ߍ", "ߏ/ߐ"),
    voicing_pairs=_both_ways("ߕ/ߘ", f"ߞ/ߜ{FOREIGN_DOT}", f"ߛ/ߖ{FOREIGN_DOT}"),
    confusable_pairs=_both_ways("ߙ/ߟ", "ߓ/ߔ", "ߣ/ߡ", "ߗ/ߖ"),
    punctuation=frozenset('߸߹߷.:؛؟!«»"()-\u07f4\u07f5'),
    pattern=re.compile("[\u07c0-\u07f5\u07fd]"),
)
# N'Ko written by the public bridge: its vowels are permuted, and g has no dot.
_NKO_BRIDGED = replace(
    _NKO,
    name="nko_bridged",
    vowel_pairs=_both_ways("ߍ/ߐ", "ߋ/ߏ"),
    voicing_pairs=_both_ways("ߕ/ߘ", "ߞ/ߜ"),
)
# No noise is known for it: its pairs are empty.
_PLAIN = Script(
    name="plain",
    normaliser="plain",
    vowels=frozenset(),
    nasals=frozenset(),
    nasal_marks=frozenset(),
    vowel_pairs={},
    voicing_pairs={},
    confusable_pairs={},
    punctuation=_LATIN.punctuation,
    pattern=re.compile(".", re.DOTALL),  # its letters are those of a vocabulary
)
SCRIPTS = {script.name: script for script in (_LATIN, _NKO, _NKO_BRIDGED)}
