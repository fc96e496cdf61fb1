"""The seven trajectory scalars, frame by frame in float64: what `scalars` has to equal."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

NAMES = (
    "commitment",
    "uncertainty",
    "transition_pressure",
    "recovery_margin",
    "phase_stiffness",
    "novelty",
    "stability",
)
BINS = 8
# A sequence whose steps, jerks or spread are not above this does not move.
STILL = 1e-10
# States come out of a float32 convolution: what is nearer than this share of the spread coincides.
COINCIDE = 1e-5
# Squared distances equal to this share of the squared spread are equal: the later frame is nearer.
GRAIN = 2.0**-30
# An angle whose cosine is this near to a bin's edge lies on the edge, so in the upper bin.
ON_EDGE = 1e-6
# Entropies that differ by less are equal; the terms of their sums come in another order.
SAME_ENTROPY = 1e-9


def compute(states: NDArray[np.floating], *, neighbours: int = 5, window: int = 64) -> Numbers:
    """Return the scalars of one sequence of states, (n, d) → (n, 7), in the order of NAMES.

    The definitions are those of Diomandeee's anticipation-geometry (ad6a81f), with the nearest
    neighbours looked for among the last `window` frames alone. Transition pressure is as it comes,
    about -2 to 2; the others are in [0, 1].
    """
    if len(states) == 0:
        return np.zeros((0, len(NAMES)))
    return _columns(np.asarray(states, np.float64), neighbours, window)


def _columns(states: Numbers, neighbours: int, window: int) -> Numbers:
    spread = 2 * _norms(states - states.mean(axis=0)).max()
    commitment = _commitment(states)
    uncertainty = _uncertainty(states, float(spread), neighbours, window)
    columns = [
        commitment,
        uncertainty,
        _transition_pressure(commitment, uncertainty),
        _recovery_margin(states, float(spread), uncertainty),
        _phase_stiffness(states),
        _novelty(states, float(spread)),
        _stability(states),
    ]
    return np.stack(columns, axis=1)


def _norms(vectors: Numbers) -> Numbers:
    return np.sqrt((vectors**2).sum(axis=-1))


def _commitment(states: Numbers) -> Numbers:
    """One minus the step's share of the largest step; 0.5 for the first frame."""
    steps = _norms(np.diff(states, axis=0))
    largest = steps.max(initial=0.0)
    if largest <= STILL:
        return np.ones(len(states))
    return np.concatenate([[0.5], 1 - steps / largest])


def _uncertainty(states: Numbers, spread: float, neighbours: int, window: int) -> Numbers:
    """Entropy of the angles between the ways to the nearest earlier states, in shares of 3 bits."""
    uncertainty = np.full(len(states), 0.5)
    for frame in range(2, len(states)):
        first = max(0, frame - window)
        ways = states[first:frame] - states[frame]
        nearest = _nearest(ways, spread, neighbours)
        if len(nearest) >= 2:
            uncertainty[frame] = _entropy(_angle_bins(ways[nearest], spread)) / np.log2(BINS)
    return uncertainty


def _nearest(ways: Numbers, spread: float, neighbours: int) -> list[int]:
    grain = GRAIN * spread**2 if spread > STILL else np.inf
    distances = np.round((ways**2).sum(axis=1) / grain)
    order = sorted(range(len(ways)), key=lambda index: (distances[index], -index))
    return order[:neighbours]


def _angle_bins(ways: Numbers, spread: float) -> list[int]:
    """The bins, an eighth of π wide, of angles between ways; π/2 of a nil one."""
    lengths = _norms(ways)
    edges = np.cos(np.pi * np.arange(1, BINS) / BINS)
    bins = []
    for one in range(len(ways)):
        for other in range(one + 1, len(ways)):
            product = lengths[one] * lengths[other]
            moves = min(lengths[one], lengths[other]) > max(COINCIDE * spread, STILL)
            cosine = ways[one] @ ways[other] / product if moves else 0.0
            bins.append(int((cosine <= edges + ON_EDGE).sum()))
    return bins


def _entropy(bins: list[int]) -> float:
    shares = np.bincount(bins, minlength=BINS) / len(bins)
    shares = shares[shares > 0]
    return 0.0 - float((shares * np.log2(shares)).sum())


def _transition_pressure(commitment: Numbers, uncertainty: Numbers) -> Numbers:
    """How commitment rises and uncertainty falls, per frame, as a centred mean of three frames."""
    if len(commitment) < 3:
        return np.zeros(len(commitment))
    rises = np.diff(commitment - uncertainty, prepend=commitment[0] - uncertainty[0])
    around = np.concatenate([[0.0], rises, [0.0]])
    return (around[:-2] + around[1:-1] + around[2:]) / 3


def _recovery_margin(states: Numbers, spread: float, uncertainty: Numbers) -> Numbers:
    """Nearness to the nearest state so far whose uncertainty is not below the median."""
    margin = np.ones(len(states))
    if len(states) < 3 or spread <= STILL:
        return margin
    branches = uncertainty >= np.median(uncertainty) - SAME_ENTROPY
    for frame in range(len(states)):
        so_far = states[: frame + 1][branches[: frame + 1]]
        if len(so_far):
            margin[frame] = 1 - _norms(so_far - states[frame]).min() / spread
    return np.clip(margin, 0, 1)


def _phase_stiffness(states: Numbers) -> Numbers:
    """Cosine of two steps that follow each other, from -1…1 to 0…1; 0.5 without two steps."""
    stiffness = np.full(len(states), 0.5)
    steps = np.diff(states, axis=0)
    units = steps / np.maximum(_norms(steps), STILL)[:, None]
    stiffness[2:] = ((units[1:] * units[:-1]).sum(axis=1) + 1) / 2
    return np.clip(stiffness, 0, 1)


def _novelty(states: Numbers, spread: float) -> Numbers:
    """Distance to the nearest earlier state as a share of the spread; 1 for the first frame."""
    if spread <= STILL:
        return np.full(len(states), 0.5)
    novelty = np.ones(len(states))
    for frame in range(1, len(states)):
        novelty[frame] = _norms(states[:frame] - states[frame]).min() / spread
    return np.clip(novelty, 0, 1)


def _stability(states: Numbers) -> Numbers:
    """One minus the jerk's share of the largest jerk; 0.5 where no jerk is defined yet."""
    stability = np.full(len(states), 0.5)
    if len(states) < 4:
        return stability
    jerks = _norms(np.diff(states, n=3, axis=0))
    if jerks.max() <= STILL:
        return np.ones(len(states))
    stability[3:] = 1 - jerks / jerks.max()
    return stability
