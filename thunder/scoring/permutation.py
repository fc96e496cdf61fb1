"""Whether two error rates differ by more than chance: the sign-flip permutation test.

If neither side is better, what each side made of a unit might as well be the other's (Fisher 1935,
Pitman 1937). The test swaps the sides of units in all ways, or at random in many, and asks how
often the difference gets as large as the one that was measured. Units are rows, clusters of rows
or pairs of trainings; they must be independent of each other, nothing else is assumed of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thunder.ground.errors import ThunderError
from thunder.scoring.score import Counts, rates

SAMPLES = 10_000  # swaps at most: all there are for few units, else as many at random
SEED = 0
LEVEL = 0.05  # below which a p-value says that there is a difference
FEWEST_PAIRS = 6  # of trainings: with five, no p-value is below 2 / 2**5
_BITS = 8  # units whose swaps are looked up together
_TIE = 1e-12  # differences of rates that differ by less are the same, summed in another order

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Tested:
    """A two-sided p-value, and the smallest that units so many and so unlike could have given."""

    p_value: float
    smallest: float


def rates_differ(first: Counts, second: Counts, samples: int = SAMPLES, seed: int = SEED) -> Tested:
    """Test whether two micro CERs over the same units differ.

    Where both sides have the same references a swap turns the sign of a unit's difference in
    edits; where they have not, it exchanges edits and characters alike.
    """
    if len(first.edits) != len(second.edits) or not len(first.edits):
        sizes = f"{len(first.edits)} and {len(second.edits)}"
        raise ThunderError(f"a paired test of {sizes} units; the same ones are needed, at least 1")
    edits, chars = first.edits.sum() + second.edits.sum(), first.chars.sum() + second.chars.sum()
    apart = np.stack([first.edits - second.edits, first.chars - second.chars], axis=1)

    def differences(sums: Floats) -> Floats:
        # Both sides as doubled sums, which the swaps move apart: whole numbers, so exact.
        ours, theirs = (rates(edits + s * sums[:, 0], chars + s * sums[:, 1]) for s in (1, -1))
        return ours - theirs

    swapped, is_exact = _swapped(apart.astype(np.float64), samples, seed)
    measured = differences(apart.sum(axis=0, dtype=np.float64)[None])
    return _tested(differences(swapped), float(measured[0]), is_exact=is_exact)


def mean_differs(differences: Sequence[float], samples: int = SAMPLES, seed: int = SEED) -> Tested:
    """Test whether differences of pairs have a mean other than 0."""
    column = np.array(differences, dtype=np.float64)[:, None]
    swapped, is_exact = _swapped(column, samples, seed)
    return _tested(swapped[:, 0], float(column.sum()), is_exact=is_exact)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for their number (Holm 1979); what is missing stays so."""
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    worst = 0.0
    for rank, (p, index) in enumerate(order):
        worst = max(worst, min(1.0, p * (len(order) - rank)))
        adjusted[index] = worst
    return adjusted


def _tested(drawn: Floats, measured: float, *, is_exact: bool) -> Tested:
    """Return the share of swaps that are as far from 0 as what was measured.

    Of random swaps the measured one is counted as one more, so that no p-value is 0 and chance
    alone is significant no more often than it may be (Phipson and Smyth 2010).
    """
    sizes = np.abs(drawn)
    extra = 0 if is_exact else 1
    beyond = int((sizes >= abs(measured) - _TIE).sum())
    largest = int((sizes >= sizes.max() - _TIE).sum()) if is_exact else 0
    total = len(drawn) + extra
    return Tested((beyond + extra) / total, (largest + extra) / total)


def _swapped(apart: Floats, samples: int, seed: int) -> tuple[Floats, bool]:
    """Return sums of units whose signs are turned (swaps, columns), and whether these are all.

    A unit that is the same on both sides stays so, and is left out.
    """
    if samples < 1 or seed < 0:
        raise ThunderError(f"a test of {samples} samples, seed {seed}; at least 1 and 0 are needed")
    moving, used = apart[apart.any(axis=1)], apart.any(axis=0)
    is_exact = len(moving) < 63 and 1 << len(moving) <= samples
    groups = -(-len(moving) // _BITS)
    draws = _all(len(moving), groups) if is_exact else _drawn(samples, groups, seed)
    sums = np.zeros((apart.shape[1], draws.shape[1]))
    for table, chosen in zip(_tables(moving), draws, strict=True):
        for at in np.flatnonzero(used):
            sums[at] += table[at][chosen]
    return sums.T, is_exact


def _tables(moving: Floats) -> Iterator[Floats]:
    """Yield, for every eight units, their sums under each of the 256 ways to turn their signs.

    (columns, 256)
    """
    bits = np.unpackbits(np.arange(1 << _BITS, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    signs = 1.0 - 2.0 * bits
    for start in range(0, len(moving), _BITS):
        units = moving[start : start + _BITS]
        yield np.ascontiguousarray((signs[:, : len(units)] @ units).T)


def _all(units: int, groups: int) -> Bytes:
    """Return every way to turn the signs of units (groups, ways), a bit for each unit."""
    ways = np.arange(1 << units, dtype="<u8")
    return ways.view(np.uint8).reshape(-1, 8).T[:groups]


def _drawn(samples: int, groups: int, seed: int) -> Bytes:
    """Return random ways (groups, samples).

    Made of PCG64's raw numbers, which are promised to stay the same; a Generator's draws are not.
    """
    raw = np.random.PCG64(seed).random_raw(-(-groups * samples // 8)).astype("<u8").view(np.uint8)
    return raw[: groups * samples].reshape(groups, samples)
