"""The CTC model: its size, its masks, its modes, and that it is the transformer it says it is."""

from dataclasses import astuple
from typing import Any

import pytest
import torch
from asr_models import CLASSES, DIMS, SIZE, batch, config, model
from torch import Tensor, nn

from thunder.config import sources
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.features import layouts
from thunder.lanes.asr.model import ctc, definitions
from thunder.lanes.asr.model.oracle import NAMES

MODES = tuple(definitions.MODES)
ANCHOR = {
    "width": 768, "layers": 6, "heads": 12, "feedforward": 3072, "kernel": 5, "positions": 500,
}  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "classes", "parameters"),
    [
        ("baseline", 66, 46_897_218),  # as published, N'Ko
        ("baseline", 40, 46_877_224),  # as published, Latin
        ("tar", 66, 46_897_218),
        ("trajectory", 66, 46_897_218 + 4_348),
        ("trajectory_ttt", 66, 46_897_218 + 4_348 + 768 * 768),
    ],
)
def test_the_anchor_has_the_published_number_of_parameters(
    mode: str, classes: int, parameters: int
) -> None:
    assert ctc.count(config(mode, size=ANCHOR), 1280, classes) == parameters


def test_counting_makes_room_for_no_large_weight() -> None:
    with torch.device("meta"):
        built = ctc.build(config("trajectory_ttt", size=ANCHOR), 1280, 66)
    real = [value.numel() for value in built.parameters() if not value.is_meta]
    assert sum(real) < 5_000


@pytest.mark.parametrize("mode", MODES)
def test_counting_agrees_with_building(mode: str) -> None:
    built = sum(value.numel() for value in model(mode).parameters())
    assert ctc.count(config(mode), DIMS, CLASSES) == built


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 8, 9, 31])
def test_output_length_is_what_the_convolution_leaves(stride: int, frames: int) -> None:
    output = model(stride=stride)(*batch(frames))
    assert output.log_probs.shape[1] == layouts.output_length(frames, stride)
    assert output.lengths.tolist() == [layouts.output_length(frames, stride)]


def test_the_published_window_makes_375_frames() -> None:
    assert layouts.output_length(1500, 4) == 375


def test_the_baseline_is_the_transformer_of_torch() -> None:
    ours = model(stride=1)
    theirs = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(
            SIZE["width"], SIZE["heads"], SIZE["feedforward"], 0.1, "gelu", batch_first=True
        ),
        SIZE["layers"],
        enable_nested_tensor=False,
    ).eval()
    parts = {
        "self_attn.in_proj_": "attention.project.", "self_attn.out_proj.": "attention.output.",
        "linear1.": "up.", "linear2.": "down.", "norm1.": "attention_norm.",
        "norm2.": "feedforward_norm.",
    }  # fmt: skip
    weights = ours.state_dict()
    for name in theirs.state_dict():
        part = next(part for part in parts if part in name)
        theirs.state_dict()[name].copy_(weights[name.replace(part, parts[part])])
    frames, lengths = batch(30, 17)
    padding = torch.arange(30) >= lengths[:, None]
    projected = nn.functional.gelu(ours.input_proj(frames)).masked_fill(padding[..., None], 0)
    states = nn.functional.gelu(ours.temporal_conv(projected.transpose(1, 2))).transpose(1, 2)
    expected = theirs(states + ours.positions[:30], src_key_padding_mask=padding)
    output = ours(frames, lengths).hidden
    assert torch.allclose(output[~padding], expected[~padding], atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("mode", MODES)
def test_a_row_is_the_same_alone_and_in_a_batch(mode: str, stride: int) -> None:
    tested = model(mode, stride=stride, size={**SIZE, "positions": 99})
    frames, lengths = batch(99, 41, 5, 70)
    together = tested(frames, lengths, scalars=True)
    for row, length in enumerate(lengths.tolist()):
        alone = tested(frames[row : row + 1, :length], lengths[row : row + 1], scalars=True)
        count = int(alone.lengths[0])
        assert torch.allclose(together.log_probs[row, :count], alone.log_probs[0], atol=1e-5)
        assert torch.allclose(together.hidden[row, :count], alone.hidden[0], atol=1e-5)
        assert torch.allclose(together.scalars[row, :count], alone.scalars[0], atol=1e-6)


@pytest.mark.parametrize("value", [1e4, float("nan")])
def test_what_lies_beyond_the_length_does_not_matter(value: float) -> None:
    tested = model("trajectory_ttt")
    frames, lengths = batch(60, 33)
    clean = tested(frames, lengths)
    frames[1, 33:] = value
    output = tested(frames, lengths)
    count = int(output.lengths[1])
    assert torch.equal(output.log_probs[0], clean.log_probs[0])
    assert torch.equal(output.log_probs[1, :count], clean.log_probs[1, :count])


def test_the_published_way_sees_the_padding() -> None:
    tested = model()
    frames, lengths = batch(60, 33)
    masked = tested(frames, lengths).log_probs[1, :17]
    padded = tested(frames, torch.tensor([60, 60])).log_probs[1, :17]
    assert not torch.allclose(masked, padded, atol=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_row_spoils_no_gradient(mode: str) -> None:
    tested = model(mode).train()
    frames, _ = batch(60, 33)
    output = tested(frames, torch.tensor([60, 0]))
    output.log_probs[0].sum().backward()
    assert output.lengths.tolist() == [30, 0]
    assert all(value.grad is None or value.grad.isfinite().all() for value in tested.parameters())


def test_more_frames_than_positions_are_refused() -> None:
    tested = model(stride=1)
    tested(*batch(64))
    with pytest.raises(ThunderError, match=r"model\.size\.positions is 64, but .* 65 frames"):
        tested(*batch(65))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"size": {**SIZE, "heads": 5}}, "heads: 5 does not divide the width of 24"),
        ({"size": {**SIZE, "kernel": 4}}, "kernel: 4 is even"),
        ({"stride": 3}, r"model\.stride is 3; it may be 1, 2 or 4"),
    ],
)
def test_a_size_that_does_not_fit_is_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ThunderError, match=fault):
        model(**changes)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ThunderError, match="mode is 'ttt'; there are baseline, trajectory, tar"):
        model("ttt")


@pytest.mark.parametrize("mode", MODES)
def test_log_probs_are_probabilities_in_float32(mode: str) -> None:
    output = model(mode)(*batch(40, 20))
    assert output.log_probs.dtype == torch.float32
    assert torch.allclose(output.log_probs.exp().sum(dim=2), torch.ones(2, 20), atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_under_bfloat16_what_is_delicate_stays_float32(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = model(mode)
    seen: list[Tensor] = []
    for part in (tested.bias, tested.ttt):
        if part is not None:
            part.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.autocast("cpu", torch.bfloat16):
        output = tested(*batch(40, 20), scalars=True)
    assert [value.dtype for value in seen] == [torch.float32] * len(seen)
    assert output.scalars is not None
    assert output.scalars.dtype == output.log_probs.dtype == torch.float32
    assert torch.allclose(output.log_probs, tested(*batch(40, 20)).log_probs, atol=0.1)


@pytest.mark.parametrize("mode", MODES)
def test_scalars_come_when_asked_for_or_needed(mode: str) -> None:
    tested = model(mode)
    without = tested(*batch(40, 20)).scalars
    asked = tested(*batch(40, 20), scalars=True)
    assert (without is not None) == definitions.MODES[mode].use_trajectory
    assert asked.scalars is not None
    assert asked.scalars.shape == (2, 20, len(NAMES))
    assert not asked.scalars.requires_grad


def test_asking_for_scalars_changes_no_output() -> None:
    tested = model()
    frames, lengths = batch(40, 20)
    with_scalars = tested(frames, lengths, scalars=True)
    assert torch.equal(tested(frames, lengths).log_probs, with_scalars.log_probs)


@pytest.mark.parametrize("mode", MODES)
def test_modes_share_the_weights_of_a_seed(mode: str) -> None:
    baseline, other = model().state_dict(), model(mode).state_dict()
    assert all(torch.equal(value, other[name]) for name, value in baseline.items())
    drawn = torch.rand(1)
    model()
    assert torch.equal(drawn, torch.rand(1))


def test_additions_come_from_the_seed_of_the_config() -> None:
    first = model("trajectory_ttt", seed=1)
    second = model("trajectory_ttt", seed=2)
    assert first.bias is not None
    assert second.bias is not None
    assert torch.equal(first.bias.layers[0].weight, second.bias.layers[0].weight)
    assert torch.equal(first.ttt.target, second.ttt.target)
    other = ctc.build({**config("trajectory_ttt"), "seed": 43}, DIMS, CLASSES)
    assert not torch.equal(first.bias.layers[0].weight, other.bias.layers[0].weight)
    assert not torch.equal(first.ttt.target, other.ttt.target)


@pytest.mark.parametrize("mode", MODES)
def test_a_gradient_reaches_every_parameter(mode: str) -> None:
    tested = model(mode).train()
    losses(tested, *batch(64, 40)).backward()
    without = [name for name, value in tested.named_parameters() if not value.grad.any()]
    assert without == []


@pytest.mark.parametrize("mode", MODES)
def test_training_is_deterministic(mode: str) -> None:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        first, second = (gradients(mode) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(before)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def gradients(mode: str) -> list[Tensor]:
    tested = model(mode).train()
    torch.manual_seed(7)
    losses(tested, *batch(64, 40)).backward()
    return [value.grad for value in tested.parameters()]


def losses(tested: ctc.CTCModel, frames: Tensor, lengths: Tensor) -> Tensor:
    output = tested(frames, lengths)
    targets = torch.arange(1, CLASSES).repeat(len(frames), 1)
    return nn.functional.ctc_loss(
        output.log_probs.transpose(0, 1), targets, output.lengths, torch.tensor([8] * len(frames))
    )


def test_flags_say_what_a_mode_switches_on() -> None:
    # In the order of results.json: use_trajectory, use_tar, use_ttt.
    assert {name: astuple(mode) for name, mode in definitions.MODES.items()} == {
        "baseline": (False, False, False),
        "trajectory": (True, False, False),
        "tar": (False, True, False),
        "trajectory_ttt": (True, False, True),
    }


@pytest.mark.parametrize("mode", MODES)
def test_definitions_tell_a_namesake_from_a_method(mode: str) -> None:
    sentences = definitions.definitions(mode)
    assert list(sentences) == ["trajectory", "tar", "ttt", "suta"]
    assert "temporal_activation_regularisation_v1" in sentences["tar"]
    assert "not that method" in sentences["ttt"]
    assert "in evaluation alone" in sentences["suta"]


def test_the_published_recipe_on_the_rented_site_has_the_published_size() -> None:
    from thunder.config import compose as configs

    template = configs.compose(
        {"profile": "asr_ctc_published", "site": "vast_a100"}, sources.sources(None)
    )
    config = {**template.resolved, "mode": "baseline"}
    assert ctc.count(config, 1280, 66) == 46_897_218
    assert config["model"]["lengths"] == "padded"
