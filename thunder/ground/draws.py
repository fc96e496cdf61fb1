"""Seeded draws that are the same on every platform and version of Python.

Only `Random.random()` is promised to give the same numbers for ever; `choice` and `sample` are not.
"""

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import TypeVar

T = TypeVar("T")


def stream(*parts: object) -> Random:
    """Return a source of draws named by its parts."""
    return Random("/".join(map(str, parts)))


def pick(rng: Random, choices: Sequence[T]) -> T:
    """Draw one of the choices."""
    return choices[int(rng.random() * len(choices))]


def pick_weighted(rng: Random, weights: dict[T, float]) -> T:
    """Draw a key, each as often as its weight says."""
    keys, bounds = list(weights), list(accumulate(weights.values()))
    return keys[min(bisect(bounds, rng.random() * bounds[-1]), len(keys) - 1)]
