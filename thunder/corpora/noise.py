"""The rules of the noise: each changes clusters of one text in one place.

A cluster is a letter with its marks, so that no rule can leave a mark without its letter.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import groupby
from random import Random

from thunder.ground import draws as draw
from thunder.language.spelling import FOREIGN_DOT, Script

# A rule returns the changed clusters, or None when the text has no place for it.
Rule = Callable[[list[str], Random, Script], list[str] | None]


def _vowel_drop(found: list[str], rng: Random, script: Script) -> list[str] | None:
    """Drop a vowel, but no word of one letter."""
    places = [i for word in _words(found) if len(word) > 1 for i in word]
    kinds = _kinds(found, script)
    return _without(found, [range(i, i + 1) for i in places if kinds[i] == "V"], rng)


def _nasal_drop(found: list[str], rng: Random, script: Script) -> list[str] | None:
    """Drop a nasal that closes a syllable, or the mark that stands for it."""
    kinds = _kinds(found, script)
    closing = [match.end() - 1 for match in re.finditer("VN(?!V)", kinds)]
    marked = [i for i, cluster in enumerate(found) if script.nasal_marks & set(cluster)]
    if not closing and not marked:
        return None
    i = draw.pick(rng, closing + marked)
    kept = "" if i in closing else "".join(c for c in found[i] if c not in script.nasal_marks)
    return [*found[:i], kept, *found[i + 1 :]]


def _syllable_deletion(found: list[str], rng: Random, script: Script) -> list[str] | None:
    return _without(found, [s for word in _syllables(found, script) for s in word[:-1]], rng)


def _final_syllable_deletion(found: list[str], rng: Random, script: Script) -> list[str] | None:
    return _without(found, [word[-1] for word in _syllables(found, script)], rng)


def _vowel_swap(found: list[str], rng: Random, script: Script) -> list[str] | None:
    return _swap(found, rng, script.vowel_pairs)


def _voicing_swap(found: list[str], rng: Random, script: Script) -> list[str] | None:
    return _swap(found, rng, script.voicing_pairs)


def _consonant_swap(found: list[str], rng: Random, script: Script) -> list[str] | None:
    return _swap(found, rng, script.confusable_pairs)


def _repetition(found: list[str], rng: Random, script: Script) -> list[str] | None:
    """Repeat 1 to 3 letters inside one word."""
    size = 1 + int(rng.random() * 3)
    starts = [i for i in range(len(found) - size + 1) if " " not in found[i : i + size]]
    if not starts:
        return None
    end = draw.pick(rng, starts) + size
    return [*found[:end], *found[end - size : end], *found[end:]]


def _space_insertion(found: list[str], rng: Random, script: Script) -> list[str] | None:
    places = [i for i in range(1, len(found)) if " " not in found[i - 1 : i + 1]]
    if not places:
        return None
    i = draw.pick(rng, places)
    return [*found[:i], " ", *found[i:]]


def _space_deletion(found: list[str], rng: Random, script: Script) -> list[str] | None:
    return _without(found, [range(i, i + 1) for i, c in enumerate(found) if c == " "], rng)


def _words(found: list[str]) -> list[range]:
    """Return where the words lie."""
    places = groupby(range(len(found)), key=lambda i: found[i] == " ")
    words = [list(places) for is_space, places in places if not is_space]
    return [range(word[0], word[-1] + 1) for word in words]


def _syllables(found: list[str], script: Script) -> list[list[range]]:
    """Return the syllables of every word that has at least two."""
    kinds = _kinds(found, script)
    words = (
        [
            range(match.start() + word.start, match.end() + word.start)
            for match in re.finditer("[CN]?V+(?:N(?!V))?", kinds[word.start : word.stop])
        ]
        for word in _words(found)
    )
    return [word for word in words if len(word) > 1]


def _kinds(found: list[str], script: Script) -> str:
    """Return one sign per cluster: vowel, nasal, other consonant, or anything else."""
    return "".join(_kind(_letter(cluster), script) for cluster in found)


def _kind(letter: str, script: Script) -> str:
    if letter in script.vowels:
        return "V"
    if letter in script.nasals:
        return "N"
    return "C" if letter.isalpha() else "-"


def _letter(cluster: str) -> str:
    """Return the letter of a cluster without its marks, in lower case."""
    return unicodedata.normalize("NFD", cluster)[0].lower()


def _without(found: list[str], spans: Sequence[range], rng: Random) -> list[str] | None:
    if not spans:
        return None
    span = draw.pick(rng, spans)
    return [*found[: span.start], *found[span.stop :]]


def _swap(found: list[str], rng: Random, pairs: dict[str, str]) -> list[str] | None:
    """Put the other letter of a pair in one place; marks that are no part of the letter stay."""
    places = [(i, key) for i, cluster in enumerate(found) if (key := _key(cluster, pairs))]
    if not places:
        return None
    i, key = draw.pick(rng, places)
    marks = unicodedata.normalize("NFD", found[i])[1:]
    for mark in key[1:]:
        marks = marks.replace(mark, "", 1)
    return [*found[:i], pairs[key] + marks, *found[i + 1 :]]


def _key(cluster: str, pairs: dict[str, str]) -> str:
    """Return the letter of a cluster as the pairs spell it, or nothing when they have none."""
    letter = _letter(cluster)
    if FOREIGN_DOT in cluster:
        letter += FOREIGN_DOT
    return letter if letter in pairs else ""


RULES: dict[str, Rule] = {
    "vowel_drop": _vowel_drop,
    "nasal_drop": _nasal_drop,
    "syllable_deletion": _syllable_deletion,
    "final_syllable_deletion": _final_syllable_deletion,
    "vowel_swap": _vowel_swap,
    "voicing_swap": _voicing_swap,
    "consonant_swap": _consonant_swap,
    "repetition": _repetition,
    "space_insertion": _space_insertion,
    "space_deletion": _space_deletion,
}
