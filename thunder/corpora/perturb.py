"""Seeded noise on clean text, in the shares that were measured on real recognition errors."""

from collections.abc import Collection
from dataclasses import dataclass
from random import Random

from thunder.corpora.noise import RULES
from thunder.ground import draws
from thunder.language.spelling import Script, clusters, group_key, normalise

REVISION = 1  # raise it when the same text and seed get other noise

COPY_SHARE = 0.4
MOST_OPS = 3
MOST_TRIES = 8

# Published shares of recognition errors (percent, tone left out). The rules of a class share its
# weight; dropped vowels and nasals were not counted apart and go with the lost syllables.
ERROR_SHARES = {
    "deletion": 14.2,
    "consonant": 18.7,
    "vowel": 12.4,
    "insertion": 9.3,
    "word_boundary": 7.3,
}
RULES_BY_CLASS = {
    "deletion": ("vowel_drop", "nasal_drop", "syllable_deletion", "final_syllable_deletion"),
    "consonant": ("voicing_swap", "consonant_swap"),
    "vowel": ("vowel_swap",),
    "insertion": ("repetition",),
    "word_boundary": ("space_insertion", "space_deletion"),
}
# Clean rows carry every label, so that a corrector learns from the text when to copy.
COPY_PARTITIONS = {"stable": 0.7, "boundary": 0.1, "uncertain": 0.15, "novelty": 0.05}
MOST_BOUNDARY_EDITS = 2


@dataclass(frozen=True)
class Noisy:
    """A text with noise in it, and what was done to it."""

    text: str
    ops: tuple[str, ...]
    edits: int
    partition: str


def perturb(text: str, rng: Random, script: Script, forbidden: Collection[str] = ()) -> Noisy:
    """Return a text with 1 to 3 perturbations, or in 40 % of the draws the text itself.

    Args:
        forbidden: group keys of all references; noise that spells one is drawn again.
    """
    if rng.random() < COPY_SHARE:
        return _copy(text, rng)
    for _ in range(MOST_TRIES):
        noisy, ops, edits = _several(text, rng, script)
        if ops and group_key(noisy, script) not in forbidden:
            return Noisy(noisy, ops, edits, partition(text, noisy, edits))
    return _copy(text, rng)


def partition(reference: str, noisy: str, edits: int) -> str:
    """Return the label of a noisy text: boundary when at most 2 edits touch one edge word alone.

    `stable` and `novelty` are never rewritten, so noise is `boundary` or `uncertain`.
    """
    before, after = reference.split(" "), noisy.split(" ")
    is_edge = len(before) == len(after) and (before[1:] == after[1:] or before[:-1] == after[:-1])
    return "boundary" if is_edge and edits <= MOST_BOUNDARY_EDITS else "uncertain"


def distance(left: str, right: str) -> int:
    """Return the least number of characters to insert, delete or replace."""
    start = _common(left, right)
    left, right = left[start:], right[start:]
    end = _common(left[::-1], right[::-1])
    left, right = left[: len(left) - end], right[: len(right) - end]
    row = list(range(len(right) + 1))
    for i, char in enumerate(left, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(right, 1):
            cost = min(row[j] + 1, row[j - 1] + 1, diagonal + (char != other))
            diagonal, row[j] = row[j], cost
    return row[-1]


def _common(left: str, right: str) -> int:
    shorter = min(len(left), len(right))
    return next((i for i in range(shorter) if left[i] != right[i]), shorter)


def _copy(text: str, rng: Random) -> Noisy:
    return Noisy(text, (), 0, draws.pick_weighted(rng, COPY_PARTITIONS))


def _several(text: str, rng: Random, script: Script) -> tuple[str, tuple[str, ...], int]:
    """Return the noisy text, the rules that were used and the edits; no rule undoes another."""
    noisy, edits = text, 0
    ops: list[str] = []
    for _ in range(1 + int(rng.random() * MOST_OPS)):
        rule = draws.pick(rng, RULES_BY_CLASS[draws.pick_weighted(rng, ERROR_SHARES)])
        changed = RULES[rule](clusters(noisy), rng, script)
        joined = normalise("".join(changed or []), script)
        if joined and (more := distance(text, joined)) > edits:
            noisy, edits = joined, more
            ops.append(rule)
    return noisy, tuple(ops), edits
