"""The rules of the noise: each changes clusters of one text in one place.

A cluster is a letter with its marks, so that no rule can leave a mark without its letter.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import groupby
from random import Random

from thunder.ground import draws
from thunder.language.spelling import FOREIGN_DOT, Script

# A rule returns the changed clusters, or None when the text has no place for it.
Rule = Callable[[list[str], Random, Script], list[str] | None]


def _vowel_drop(clusters: list[str], rng: Random, script: Script) -> list[str] | None:
    """Drop a vowel, but no word of one letter."""
    places = [i for word in _words(clusters) if len(word) > 1 for i in word]
    kinds = _kinds(clusters, script)
    return _without(clusters, [range(i, i + 1) for i in places if kinds[i] == "V"], rng)


def _nasal_drop(clusters: list[str], rng: Random, script: Script) -> list[str] | None:
    """Drop a nasal that closes a syllable, or the mark that stands for it."""
    kinds = _kinds(clusters, script)
    closing = [match.end() - 1 for match in re.finditer("VN(?!V)", kinds)]
    marked = [i for i, cluster in enumerate(clusters) if script.nasal_marks & set(cluster)]
    if not closing and not marked:
        return None
    i = draws.pick(rng, closing + marked)
    kept = "" if i in closing else "".join(c for c in clusters[i] if c not in script.nasal_marks)
    return [*clusters[:i], kept, *clusters[i + 1 :]]


def _syllable_deletion(clusters: list[str], rng: Random, script: Script) -> list[str] | None:
    return _without(clusters, [s for word in _syllables(clusters, script) for s in word[:-1]], rng)


def _final_syllable_deletion(clusters: list[str], rng: Random, script: Script) -> list[str] | None:
    return _without(clusters, [word[-1] for word in _syllables(clusters, script)], rng)


def _vowel_swap(clusters: list[str], rng: Random, script: Script) -> list[str] | None:
    return _swap(clusters, rng, script.vowel_pairs)


def _voicing_swap(clusters: list[str], rng: Random, script: Script) -> list[str] | None:
    return _swap(clusters, rng, script.voicing_pairs)


def _consonant_swap(clusters: list[str], rng: Random, script: Script) -> list[str] | None:
    return _swap(clusters, rng, script.confusable_pairs)


def _repetition(clusters: list[str], rng: Random, script: Script) -> list[str] | None:
    """Repeat 1 to 3 letters inside one word."""
    size = 1 + int(rng.random() * 3)
    starts = [i for i in range(len(clusters) - size + 1) if " " not in clusters[i : i + size]]
    if not starts:
        return None
    end = draws.pick(rng, starts) + size
    return [*clusters[:end], *clusters[end - size : end], *clusters[end:]]


def _space_insertion(clusters: list[str], rng: Random, script: Script) -> list[str] | None:
    places = [i for i in range(1, len(clusters)) if " " not in clusters[i - 1 : i + 1]]
    if not places:
        return None
    i = draws.pick(rng, places)
    return [*clusters[:i], " ", *clusters[i:]]


def _space_deletion(clusters: list[str], rng: Random, script: Script) -> list[str] | None:
    return _without(clusters, [range(i, i + 1) for i, c in enumerate(clusters) if c == " "], rng)


def _words(clusters: list[str]) -> list[range]:
    """Return where the words lie."""
    places = groupby(range(len(clusters)), key=lambda i: clusters[i] == " ")
    words = [list(places) for is_space, places in places if not is_space]
    return [range(word[0], word[-1] + 1) for word in words]


def _syllables(clusters: list[str], script: Script) -> list[list[range]]:
    """Return the syllables of every word that has at least two."""
    kinds = _kinds(clusters, script)
    words = (
        [
            range(match.start() + word.start, match.end() + word.start)
            for match in re.finditer("[CN]?V+(?:N(?!V))?", kinds[word.start : word.stop])
        ]
        for word in _words(clusters)
    )
    return [word for word in words if len(word) > 1]


def _kinds(clusters: list[str], script: Script) -> str:
    """Return one sign per cluster: vowel, nasal, other consonant, or anything else."""
    return "".join(_kind(_letter(cluster), script) for cluster in clusters)


def _kind(letter: str, script: Script) -> str:
    if letter in script.vowels:
        return "V"
    if letter in script.nasals:
        return "N"
    return "C" if letter.isalpha() else "-"


def _letter(cluster: str) -> str:
    """Return the letter of a cluster without its marks, in lower case."""
    return unicodedata.normalize("NFD", cluster)[0].lower()


def _without(clusters: list[str], spans: Sequence[range], rng: Random) -> list[str] | None:
    if not spans:
        return None
    span = draws.pick(rng, spans)
    return [*clusters[: span.start], *clusters[span.stop :]]


def _swap(clusters: list[str], rng: Random, pairs: dict[str, str]) -> list[str] | None:
    """Put the other letter of a pair in one place; marks that are no part of the letter stay."""
    places = [(i, key) for i, cluster in enumerate(clusters) if (key := _key(cluster, pairs))]
    if not places:
        return None
    i, key = draws.pick(rng, places)
    marks = unicodedata.normalize("NFD", clusters[i])[1:]
    for mark in key[1:]:
        marks = marks.replace(mark, "", 1)
    return [*clusters[:i], pairs[key] + marks, *clusters[i + 1 :]]


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
