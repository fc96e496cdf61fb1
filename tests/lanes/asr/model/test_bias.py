"""The attention bias: its formula, its size, that it starts at plain attention."""

import math

import pytest
import torch
from asr_models import batch, model
from torch import Generator, Tensor, nn

from thunder.lanes.asr.model.bias import TrajectoryBias
from thunder.lanes.asr.model.oracle import NAMES


def bias(heads: int = 2, seed: int = 0) -> TrajectoryBias:
    return TrajectoryBias(heads, Generator().manual_seed(seed))


def scalars(*shape: int) -> Tensor:
    return torch.rand(*shape, len(NAMES), generator=Generator().manual_seed(0))


def constant(*strengths: float) -> TrajectoryBias:
    """Return a network that says these strengths, one per head, whatever it hears."""
    tested = bias(len(strengths))
    nn.init.zeros_(tested.layers[-1].weight)
    tested.layers[-1].bias.data = torch.tensor(strengths)
    return tested


def test_twelve_heads_take_4348_parameters() -> None:
    """4,324 of the three linear layers, and 12 each of decay and offset."""
    tested = bias(12)
    assert sum(value.numel() for value in tested.layers.parameters()) == 4_324
    assert sum(value.numel() for value in tested.parameters()) == 4_348


def test_the_mask_is_strength_times_distance_kernel() -> None:
    tested = constant(2.0, -1.0)
    tested.decay.data = torch.tensor([1.0, 30.0])
    tested.offset.data = torch.tensor([0.0, 0.5])
    mask = tested(scalars(1, 4), torch.ones(1, 4, dtype=torch.bool))[0].detach()
    for query in range(4):
        for key in range(4):
            distance = abs(query - key)
            assert mask[0, query, key].item() == pytest.approx(2 * math.exp(-0.01 * distance))
            assert mask[1, query, key].item() == pytest.approx(-math.exp(0.5 - 0.3 * distance))


def test_the_strength_is_that_of_the_query() -> None:
    tested = bias()
    keep = torch.ones(1, 5, dtype=torch.bool)
    plain = scalars(1, 5)
    changed = plain.clone()
    changed[0, 3] = 0.9
    differs = (tested(plain, keep) != tested(changed, keep))[0].any(dim=0)
    assert differs.any(dim=1).tolist() == [False, False, False, True, False]


def test_transition_pressure_is_brought_to_0_and_1() -> None:
    tested = bias()
    inputs: list[Tensor] = []
    tested.layers[0].register_forward_hook(lambda _, given, __: inputs.append(given[0]))
    values = scalars(1, 3)
    values[0, :, NAMES.index("transition_pressure")] = torch.tensor([-2.0, 0.0, 2.0])
    before = values.clone()
    tested(values, torch.ones(1, 3, dtype=torch.bool))
    assert inputs[0][0, :, 2].tolist() == [0.0, 0.5, 1.0]
    assert torch.equal(inputs[0][..., 3:], before[..., 3:])
    assert torch.equal(values, before)


def test_keys_that_do_not_count_are_masked_for_every_query() -> None:
    keep = torch.tensor([[True, True, False], [True, False, False]])
    mask = bias()(scalars(2, 3), keep)
    assert torch.equal(mask.isinf(), (~keep)[:, None, None, :].expand(2, 2, 3, 3))


# Of seed 42 and four heads; it changes with the initialisation or the layers, and so do results.
GOLDEN = [1.7758946e-04, -6.0197028e-05, 1.6675190e-04, 1.2596083e-05]


def test_golden_mask() -> None:
    mask = bias(4, seed=42)(scalars(1, 30), torch.ones(1, 30, dtype=torch.bool))
    assert mask[0, :, 0, 0].tolist() == pytest.approx(GOLDEN, rel=1e-4)
    assert mask[0, :, 0, 29].tolist() == pytest.approx(
        [value * math.exp(-0.29) for value in GOLDEN], rel=1e-4
    )


def test_autocast_does_not_touch_the_mask() -> None:
    tested, keep = bias(), torch.ones(1, 30, dtype=torch.bool)
    expected = tested(scalars(1, 30), keep)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(tested(scalars(1, 30), keep), expected)


def test_training_starts_near_plain_attention() -> None:
    baseline, trajectory = model(), model("trajectory")
    frames, lengths = batch(60, 41)
    plain, biased = baseline(frames, lengths).log_probs, trajectory(frames, lengths).log_probs
    assert not torch.equal(plain, biased)
    assert torch.allclose(plain, biased, atol=1e-3)


def test_one_network_serves_all_layers() -> None:
    trajectory = model("trajectory")
    masks: list[Tensor] = []
    for layer in trajectory.layers:
        layer.register_forward_pre_hook(lambda _, given: masks.append(given[1]))
    trajectory(*batch(60, 41))
    assert len(masks) == len(trajectory.layers)
    assert all(mask is masks[0] for mask in masks)


def test_decay_and_offset_are_learned() -> None:
    tested = bias()
    mask = tested(scalars(1, 6), torch.ones(1, 6, dtype=torch.bool))
    mask.square().sum().backward()
    assert tested.decay.grad.all()
    assert tested.offset.grad.all()
