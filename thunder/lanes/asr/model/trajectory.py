"""The seven trajectory scalars of a batch of sequences, without gradients, equal to `oracle`."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from thunder.lanes.asr.model.oracle import (
    BINS,
    COINCIDE,
    GRAIN,
    ON_EDGE,
    SAME_ENTROPY,
    STILL,
)

# Numbers in the largest float64 buffer; about ten such buffers live at a time.
BUFFER = 2**23


@torch.no_grad()  # type: ignore[untyped-decorator]
def compute(states: Tensor, lengths: Tensor, *, neighbours: int = 5, window: int = 64) -> Tensor:
    """Return the scalars of states (B, T, d) of which `lengths` (B,) frames count.

    Float32 (B, T, 7) in the order of `oracle.NAMES`, zero beyond a sequence's length.
    """
    frames, width = states.shape[1:]
    rows = max(1, BUFFER // max(1, frames * max(frames, width)))
    lengths = lengths.to(states.device)
    with torch.autocast(states.device.type, enabled=False):
        parts = [
            _compute(some, length, neighbours, window)
            for some, length in zip(states.split(rows), lengths.split(rows), strict=True)
        ]
    return torch.cat(parts)


def _valid(frames: int, lengths: Tensor) -> Tensor:
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def _compute(states: Tensor, lengths: Tensor, neighbours: int, window: int) -> Tensor:
    """The scalars of some rows; float64, so that a histogram's bins are those of the oracle."""
    valid = _valid(states.shape[1], lengths)
    states = states.double().masked_fill(~valid[..., None], 0.0)
    centroid = states.sum(dim=1, keepdim=True) / lengths.clamp(min=1)[:, None, None]
    centred = (states - centroid) * valid[..., None]
    spread = 2 * centred.norm(dim=2).amax(dim=1)[:, None]
    squares = _squares(centred)
    steps = _differences(states) * (valid & _from(1, valid))[..., None]
    commitment = _share_left(steps.norm(dim=2), valid, first=1)
    uncertainty = _uncertainty(squares, spread, neighbours, window)
    columns = [
        commitment,
        uncertainty,
        _transition_pressure(commitment, uncertainty, lengths, valid),
        _recovery_margin(squares, spread, uncertainty, lengths, valid),
        _phase_stiffness(steps, valid),
        _novelty(squares, spread),
        _stability(steps, lengths, valid),
    ]
    return (torch.stack(columns, dim=2) * valid[..., None]).float()


def _squares(centred: Tensor) -> Tensor:
    """Squared distances between all states, (B, T, T); centred, so that little cancels."""
    products = centred @ centred.transpose(1, 2)
    norms = products.diagonal(dim1=1, dim2=2)
    return (norms[:, :, None] + norms[:, None, :] - 2 * products).clamp_(min=0)


def _differences(vectors: Tensor) -> Tensor:
    """What each frame adds to the one before; zero for the first."""
    return vectors.diff(dim=1, prepend=vectors[:, :1])


def _from(frame: int, like: Tensor) -> Tensor:
    return torch.arange(like.shape[1], device=like.device) >= frame


def _share_left(sizes: Tensor, valid: Tensor, first: int) -> Tensor:
    """One minus a share of the largest size, (B, T); 0.5 before `first`, all 1 if all are zero."""
    counts = valid & _from(first, valid)
    largest = (sizes * counts).amax(dim=1, keepdim=True)
    left = torch.where(counts, 1 - sizes / largest.clamp(min=STILL), 0.5)
    return torch.where(largest > STILL, left, 1.0)


def _uncertainty(squares: Tensor, spread: Tensor, neighbours: int, window: int) -> Tensor:
    frames = squares.shape[1]
    count = min(neighbours, frames - 1, window)
    if count < 2:
        return squares.new_full(squares.shape[:2], 0.5)
    nearest, exists = _nearest(squares, spread, count, window)
    one, other = torch.triu_indices(count, count, 1, device=squares.device)
    pairs = (exists[..., one] & exists[..., other])[..., None]
    bins = _angle_bins(squares, spread, nearest, one, other)[..., None]
    counts = ((bins == torch.arange(BINS, device=squares.device)) & pairs).sum(dim=2)
    shares = counts.double() / pairs.sum(dim=2).clamp(min=1)
    entropy = torch.special.entr(shares).sum(dim=2) / math.log(BINS)
    return torch.where(exists.sum(dim=2) < 2, 0.5, entropy)


def _nearest(squares: Tensor, spread: Tensor, count: int, window: int) -> tuple[Tensor, Tensor]:
    """The nearest frames of the window before each, (B, T, count), and which of them exist."""
    frames = squares.shape[1]
    clock = torch.arange(frames, device=squares.device)
    lag = clock[:, None] - clock
    grain = torch.where(spread > STILL, GRAIN * spread**2, math.inf)[..., None]
    # Unique keys, so that no library's order among equals matters: the later frame is nearer.
    keys = (squares / grain).round_().mul_(frames).add_(lag)
    keys.masked_fill_((lag < 1) | (lag > window), math.inf)
    smallest, nearest = keys.topk(count, dim=2, largest=False)
    return nearest, smallest.isfinite()


def _angle_bins(
    squares: Tensor, spread: Tensor, nearest: Tensor, one: Tensor, other: Tensor
) -> Tensor:
    """The bins of the angles at each frame between two neighbours, (B, T, pairs), by cosines."""
    rows, frames = squares.shape[:2]
    near = squares.gather(2, nearest)
    flat = nearest[..., one] * frames + nearest[..., other]
    between = squares.flatten(1).gather(1, flat.flatten(1)).view(rows, frames, -1)
    reach = near[..., one] * near[..., other]
    cosine = (near[..., one] + near[..., other] - between) / 2 / reach.clamp(min=1e-300).sqrt()
    moves = near > (COINCIDE * spread).clamp(min=STILL)[..., None] ** 2
    cosine = torch.where(moves[..., one] & moves[..., other], cosine, 0.0)
    edges = torch.arange(1, BINS, dtype=squares.dtype, device=squares.device) * (math.pi / BINS)
    return torch.bucketize(-cosine, -(edges.cos() + ON_EDGE), right=True)


def _transition_pressure(
    commitment: Tensor, uncertainty: Tensor, lengths: Tensor, valid: Tensor
) -> Tensor:
    rises = _differences((commitment - uncertainty)[..., None])[..., 0] * valid
    around = F.pad(rises, (1, 1))
    smooth = (around[:, :-2] + around[:, 1:-1] + around[:, 2:]) / 3
    return torch.where(lengths[:, None] < 3, 0.0, smooth)


def _recovery_margin(
    squares: Tensor, spread: Tensor, uncertainty: Tensor, lengths: Tensor, valid: Tensor
) -> Tensor:
    branches = (uncertainty >= _median(uncertainty, lengths, valid) - SAME_ENTROPY) & valid
    far = squares.masked_fill(~branches[:, None, :], math.inf)
    nearest = _smallest_before(far, itself=True)
    left = (1 - nearest.sqrt() / spread.clamp(min=STILL)).clamp(0, 1)
    alone = ~nearest.isfinite() | (spread <= STILL) | (lengths[:, None] < 3)
    return torch.where(alone, 1.0, left)


def _median(values: Tensor, lengths: Tensor, valid: Tensor) -> Tensor:
    ordered = values.masked_fill(~valid, math.inf).sort(dim=1).values
    count = lengths.clamp(min=1)[:, None]
    return (ordered.gather(1, (count - 1) // 2) + ordered.gather(1, count // 2)) / 2


def _smallest_before(squares: Tensor, *, itself: bool) -> Tensor:
    """The smallest up to the diagonal, (B, T, T) → (B, T) or inf."""
    frames = squares.shape[1]
    later = torch.ones(frames, frames, dtype=torch.bool, device=squares.device)
    return squares.masked_fill(later.triu(1 if itself else 0), math.inf).amin(dim=2)


def _phase_stiffness(steps: Tensor, valid: Tensor) -> Tensor:
    units = steps / steps.norm(dim=2, keepdim=True).clamp(min=STILL)
    turns = (units[:, 1:] * units[:, :-1]).sum(dim=2)
    stiffness = F.pad((turns + 1) / 2, (1, 0)).clamp(0, 1)
    return torch.where(valid & _from(2, valid), stiffness, 0.5)


def _novelty(squares: Tensor, spread: Tensor) -> Tensor:
    nearest = _smallest_before(squares, itself=False)
    share = (nearest.sqrt() / spread.clamp(min=STILL)).clamp(0, 1)
    return torch.where(spread > STILL, share, 0.5)


def _stability(steps: Tensor, lengths: Tensor, valid: Tensor) -> Tensor:
    jerks = _differences(_differences(steps)).norm(dim=2)
    stability = _share_left(jerks, valid, first=3)
    return torch.where(lengths[:, None] < 4, 0.5, stability)
