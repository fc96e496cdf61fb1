"""Trajectory scalars: the oracle by hand, the batched version against the oracle."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from thunder.lanes.asr.evaluation import telemetry
from thunder.lanes.asr.model import oracle, trajectory

Numbers = NDArray[np.float32]
TOLERANCE = 1e-6


def random(frames: int, width: int, seed: int = 0) -> Numbers:
    return np.random.default_rng(seed).standard_normal((frames, width)).astype(np.float32)


def walk(frames: int, width: int, seed: int = 0) -> Numbers:
    return random(frames, width, seed).cumsum(axis=0, dtype=np.float32)


def line(frames: int) -> Numbers:
    return (np.arange(frames)[:, None] * np.array([[1, 2, 0, -1]]) + 3).astype(np.float32)


def still(frames: int) -> Numbers:
    return np.tile(random(1, 4), (frames, 1))


def silences(frames: int) -> Numbers:
    """Return states that are equal for long stretches, far from zero, as of digital silence."""
    speaks = np.arange(frames)[:, None] // 7 % 2
    return np.float32(100) + random(frames, 4) * speaks.astype(np.float32)


def grid(frames: int) -> Numbers:
    """Return states with many equal distances and right angles."""
    return np.random.default_rng(1).integers(0, 3, (frames, 4)).astype(np.float32)


def by_name(states: Numbers, **settings: int) -> dict[str, list[float]]:
    columns = oracle.compute(states, **settings).T
    return dict(zip(oracle.NAMES, (column.tolist() for column in columns), strict=True))


def test_names_come_in_the_published_order() -> None:
    assert oracle.NAMES == (
        "commitment", "uncertainty", "transition_pressure", "recovery_margin", "phase_stiffness",
        "novelty", "stability",
    )  # fmt: skip


def test_a_corner_worked_out_by_hand() -> None:
    """Two steps of 1, one of 2, a corner, back to the start: all seven from the definitions."""
    measured = by_name(np.array([[0, 0], [1, 0], [2, 0], [2, 2], [0, 0]], np.float32))
    longest = math.sqrt(8)  # the last step
    assert measured["commitment"] == pytest.approx(
        [0.5, 1 - 1 / longest, 1 - 1 / longest, 1 - 2 / longest, 0]
    )
    # Third frame: one angle. Fourth: 18.4°, 26.6° and 45°, each in a bin of its own. Fifth: ways of
    # length 0, 1, 2 and √8; three right angles by convention, two of 45° and one of 0°.
    fourth = math.log2(3) / 3
    fifth = (math.log2(2) / 2 + math.log2(3) / 3 + math.log2(6) / 6) / 3
    assert measured["uncertainty"] == pytest.approx([0.5, 0.5, 0, fourth, fifth])
    centre = np.array([1, 0.4])
    spread = 2 * np.linalg.norm(np.array([2, 2]) - centre)
    # The median uncertainty is 0.5; the third and the fifth frame are below it, and the fifth is
    # where the first was.
    assert measured["recovery_margin"] == pytest.approx([1, 1, 1 - 1 / spread, 1, 1])
    turns = [1, 0, -math.sqrt(0.5)]
    assert measured["phase_stiffness"] == pytest.approx([0.5, 0.5, *((t + 1) / 2 for t in turns)])
    assert measured["novelty"] == pytest.approx([1, 1 / spread, 1 / spread, 2 / spread, 0])
    # Jerks: (1,0),(1,0),(0,2) → (-1,2); (1,0),(0,2),(-2,-2) → (-1,-6).
    assert measured["stability"] == pytest.approx([0.5, 0.5, 0.5, 1 - math.sqrt(5 / 37), 0])
    rises = np.diff(np.subtract(measured["commitment"], measured["uncertainty"]), prepend=np.nan)
    rises[0] = 0
    around = [0, *rises, 0]
    smooth = [sum(around[at : at + 3]) / 3 for at in range(5)]
    assert measured["transition_pressure"] == pytest.approx(smooth)


def test_a_straight_line_at_one_speed() -> None:
    measured = by_name(line(8))
    assert measured["commitment"] == [0.5, *[0] * 7]
    assert measured["uncertainty"] == [0.5, 0.5, *[0] * 6]
    assert measured["phase_stiffness"] == pytest.approx([0.5, 0.5, *[1] * 6])
    assert measured["stability"] == [1] * 8
    assert measured["novelty"] == pytest.approx([1, *[1 / 7] * 7])


def test_a_sequence_that_never_moves() -> None:
    measured = by_name(still(6))
    assert measured["commitment"] == measured["recovery_margin"] == measured["stability"] == [1] * 6
    assert measured["novelty"] == measured["phase_stiffness"] == [0.5] * 6


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_edge_values_of_short_sequences(frames: int) -> None:
    measured = by_name(random(frames, 6))
    assert measured["stability"] == [0.5] * frames
    assert measured["uncertainty"][:2] == [0.5, 0.5][:frames]
    assert measured["phase_stiffness"][:2] == [0.5, 0.5][:frames]
    if frames < 3:
        assert measured["transition_pressure"] == [0] * frames
        assert measured["recovery_margin"] == [1] * frames
    if frames > 1:
        assert measured["commitment"][0] == 0.5
        assert measured["novelty"][0] == 1


def test_the_window_bounds_the_neighbours_alone() -> None:
    states = walk(40, 6)
    short, long = by_name(states, window=5), by_name(states, window=64)
    same = [name for name in oracle.NAMES if short[name] == long[name]]
    assert same == ["commitment", "phase_stiffness", "novelty", "stability"]
    assert short["uncertainty"][:6] == long["uncertainty"][:6]


def test_scalars_stay_in_their_ranges() -> None:
    for states in (random(80, 8), walk(80, 8), silences(80), grid(80)):
        measured = oracle.compute(states)
        pressure = oracle.NAMES.index("transition_pressure")
        assert (np.abs(measured[:, pressure]) <= 2).all()
        others = np.delete(measured, pressure, axis=1)
        assert others.min() >= 0
        assert others.max() <= 1


def test_no_frame_is_no_scalar() -> None:
    assert oracle.compute(np.zeros((0, 4))).shape == (0, 7)


def padded(sequences: list[Numbers], beyond: float = 7.0) -> tuple[Tensor, Tensor]:
    """Return sequences of one width as a batch, three frames longer than the longest."""
    lengths = [len(sequence) for sequence in sequences]
    states = torch.full((len(lengths), max(lengths) + 3, sequences[0].shape[1]), beyond)
    for row, sequence in enumerate(sequences):
        states[row, : len(sequence)] = torch.from_numpy(sequence)
    return states, torch.tensor(lengths)


ALL = {
    "short": [random(frames, 4) for frames in (1, 2, 3, 4, 5, 6)],
    "random": [random(frames, 16, frames) for frames in (9, 70, 100)],
    # Of three dimensions entropies often tie with their median, up to the order of their terms.
    "ties": [random(80, 3, seed) for seed in range(24)],
    "walks": [walk(frames, 8, frames) for frames in (12, 90)],
    "far off": [walk(60, 8) + np.float32(500)],
    "straight": [line(frames) for frames in (2, 3, 4, 30)],
    "still": [still(frames) for frames in (1, 2, 3, 4, 5, 30)],
    "silences": [silences(frames) for frames in (20, 90)],
    "grid": [grid(frames) for frames in (20, 100)],
}


@pytest.mark.parametrize(("neighbours", "window"), [(5, 64), (5, 7), (3, 999), (1, 64), (9, 2)])
@pytest.mark.parametrize("kind", ALL)
def test_a_batch_equals_the_oracle(kind: str, neighbours: int, window: int) -> None:
    states, lengths = padded(ALL[kind])
    measured = trajectory.compute(states, lengths, neighbours=neighbours, window=window)
    assert measured.dtype == torch.float32
    for row, sequence in enumerate(ALL[kind]):
        expected = oracle.compute(sequence, neighbours=neighbours, window=window)
        difference = np.abs(measured[row, : len(sequence)].numpy() - expected)
        assert difference.max() < TOLERANCE, difference.max(axis=0)
        assert not measured[row, len(sequence) :].any()


def test_angles_on_an_edge_of_a_bin_are_put_there_by_both() -> None:
    """Right angles come out of rounding on either side; where they go is a matter of rule."""
    turned = np.linalg.qr(random(4, 4).astype(np.float64))[0]
    for states in (grid(60), (grid(60) @ turned).astype(np.float32)):
        batch, lengths = padded([states])
        measured = trajectory.compute(batch, lengths)[0, :60].numpy()
        assert np.abs(measured - oracle.compute(states)).max() < TOLERANCE
    plain, rotated = (oracle.compute(s)[:, 1] for s in (grid(60), (grid(60) @ turned)))
    assert np.abs(plain - rotated).max() < TOLERANCE


def test_padding_and_neighbouring_rows_have_no_influence() -> None:
    sequences = [walk(50, 8), random(20, 8), walk(3, 8)]
    states, lengths = padded(sequences, beyond=float("nan"))
    together = trajectory.compute(states, lengths)
    for row, sequence in enumerate(sequences):
        alone = trajectory.compute(torch.from_numpy(sequence)[None], lengths[row : row + 1])
        assert torch.allclose(together[row, : len(sequence)], alone[0], atol=1e-7)


def test_a_batch_in_parts_equals_a_batch_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    states, lengths = padded([walk(frames, 8) for frames in (50, 20, 33, 7)])
    whole = trajectory.compute(states, lengths)
    monkeypatch.setattr(trajectory, "BUFFER", 1)
    assert torch.equal(trajectory.compute(states, lengths), whole)


def test_autocast_does_not_touch_scalars() -> None:
    states, lengths = padded([walk(50, 8), random(20, 8)])
    expected = trajectory.compute(states, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(trajectory.compute(states, lengths), expected)


def test_no_gradient_flows_through_scalars() -> None:
    states = torch.randn(1, 10, 4, requires_grad=True)
    assert not trajectory.compute(states, torch.tensor([10])).requires_grad


def test_a_diverged_model_makes_numbers_and_no_crash() -> None:
    states = torch.full((2, 12, 4), float("nan"))
    states[1] = torch.randn(12, 4)
    measured = trajectory.compute(states, torch.tensor([12, 12]))
    assert measured[1].isfinite().all()


def test_a_summary_is_of_the_frames_that_count() -> None:
    states, lengths = padded([walk(30, 8), random(1, 8)])
    measured = trajectory.compute(states, lengths)
    for row, summary in enumerate(telemetry.statistics(measured, lengths)):
        assert list(summary) == list(oracle.NAMES)
        for name, column in zip(oracle.NAMES, measured[row, : int(lengths[row])].T, strict=True):
            assert summary[name] == pytest.approx(
                {
                    "mean": column.double().mean().item(),
                    "min": column.min().item(),
                    "max": column.max().item(),
                    "last": column[-1].item(),
                }
            )


@pytest.mark.slow
def test_a_batch_of_30_seconds_at_full_width_takes_less_than_two_gigabytes() -> None:
    """More rows than go into one part, so the peak is that of any batch."""
    code = (
        "import resource, torch\n"
        "torch.set_num_threads(1)\n"
        "from thunder.lanes.asr.model import trajectory\n"
        "states = torch.randn(15, 750, 768)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "trajectory.compute(states, torch.full((15,), 750))\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], text=True, capture_output=True, timeout=120, check=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 2e9
