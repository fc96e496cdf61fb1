"""Single-utterance adaptation: what it lowers, what it leaves alone, and that rows are alone."""

import copy

import pytest
import torch
from asr_models import batch, model
from torch import Tensor

from thunder.lanes.asr.model import ctc, suta
from thunder.lanes.asr.model.layers import LayerNorm

SETTINGS = {"rows": 10, "steps": 4, "learning_rate": 1e-2}
MODES = ("baseline", "trajectory", "tar", "trajectory_ttt")


def entropy(log_probs: Tensor) -> float:
    return float(-(log_probs.exp() * log_probs).sum(dim=-1).mean().detach())


def confident(mode: str = "baseline") -> ctc.CTCModel:
    """Return a model that says other things than blank."""
    made = model(mode)
    torch.manual_seed(3)
    made.output_proj.weight.data = torch.randn_like(made.output_proj.weight)
    return made


def by_copy(tested: ctc.CTCModel, frames: Tensor, length: int, blank: int = 0) -> Tensor:
    """Return what adapting a copy of the model, the plain way, gives."""
    copied = copy.deepcopy(tested).requires_grad_(False)
    values = [
        value.requires_grad_()
        for module in copied.modules()
        if isinstance(module, LayerNorm)
        for value in module.parameters()
    ]
    optimizer = torch.optim.AdamW(values, lr=SETTINGS["learning_rate"], weight_decay=0.0)
    for _ in range(int(SETTINGS["steps"])):
        log_probs = copied(frames[None], torch.tensor([length])).log_probs[0]
        probs = (log_probs / 2.5).softmax(dim=1)
        entropies = -(probs * probs.log()).sum(dim=1)[log_probs.argmax(dim=1) != blank]
        together = probs.T @ probs
        shares = together / together.sum(dim=1, keepdim=True)
        confusion = (shares.sum() - shares.trace()) / len(shares)
        optimizer.zero_grad()
        (0.3 * entropies.mean() + 0.7 * confusion).backward()
        optimizer.step()
    return copied(frames[None], torch.tensor([length])).log_probs[0].detach()


@pytest.mark.parametrize("mode", MODES)
def test_it_is_what_adapting_a_copy_gives(mode: str) -> None:
    tested = confident(mode)
    frames, _ = batch(50)
    adapted = suta.adapt(tested, frames[0], 50, SETTINGS)
    assert torch.allclose(adapted, by_copy(tested, frames[0], 50), atol=1e-4)
    assert not torch.allclose(adapted, tested(frames, torch.tensor([50])).log_probs[0], atol=1e-2)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_the_model_stays_as_it_is_bit_for_bit(mode: str, training: bool) -> None:
    tested = confident(mode).train(training)
    before = copy.deepcopy(tested.state_dict())
    frames, _ = batch(50)
    suta.adapt(tested, frames[0], 50, SETTINGS)
    assert all(torch.equal(value, before[name]) for name, value in tested.state_dict().items())
    assert all(value.grad is None and value.requires_grad for value in tested.parameters())
    assert all(module.training == training for module in tested.modules())


def test_a_failure_leaves_the_model_as_it_is() -> None:
    tested = confident().train()
    frames, _ = batch(50)
    with pytest.raises(KeyError):
        suta.adapt(tested, frames[0], 50, {"steps": 1})
    assert tested.training


def test_nothing_is_dropped_out_of_a_model_in_training() -> None:
    tested = confident()
    frames, _ = batch(50)
    expected = suta.adapt(tested, frames[0], 50, SETTINGS)
    assert torch.equal(suta.adapt(tested.train(), frames[0], 50, SETTINGS), expected)


def test_posteriors_become_sharper() -> None:
    tested = confident()
    frames, lengths = batch(50)
    before = tested(frames, lengths).log_probs[0]
    after = suta.adapt(tested, frames[0], 50, {**SETTINGS, "steps": 10})
    assert entropy(after) < entropy(before)


@pytest.mark.parametrize("mode", ["trajectory", "trajectory_ttt"])
def test_rows_of_a_batch_are_adapted_each_by_itself(mode: str) -> None:
    tested = confident(mode)
    frames, lengths = batch(64, 20, 41)
    together = suta.adapt_batch(tested, frames, lengths, SETTINGS)
    for row, length in enumerate(lengths.tolist()):
        alone = suta.adapt(tested, frames[row, :length], length, SETTINGS)
        assert torch.allclose(together.log_probs[row, : len(alone)], alone, atol=1e-4)


def test_an_utterance_leaves_nothing_to_the_next() -> None:
    tested = confident()
    frames, _ = batch(50, 50)
    first = suta.adapt(tested, frames[0], 50, SETTINGS)
    suta.adapt(tested, frames[1], 50, SETTINGS)
    assert torch.equal(suta.adapt(tested, frames[0], 50, SETTINGS), first)


def test_only_the_frames_that_count_teach() -> None:
    tested = confident()
    frames, _ = batch(50)
    noisy = torch.cat([frames[0, :31], torch.full((19, frames.shape[2]), 5.0)])
    adapted = suta.adapt(tested, noisy, 31, SETTINGS)
    assert len(adapted) == 16
    assert torch.allclose(adapted, suta.adapt(tested, frames[0, :31], 31, SETTINGS), atol=1e-5)


def test_the_blank_class_is_the_callers() -> None:
    tested = confident()
    frames, _ = batch(50)
    says = tested(frames, torch.tensor([50])).log_probs[0].argmax(dim=1).tolist()
    common = max(says, key=says.count)
    assert common != 0
    adapted = suta.adapt(tested, frames[0], 50, SETTINGS, blank=common)
    assert torch.allclose(adapted, by_copy(tested, frames[0], 50, common), atol=1e-4)
    assert not torch.equal(adapted, suta.adapt(tested, frames[0], 50, SETTINGS))


def test_an_utterance_of_blanks_alone_is_adapted_without_nan() -> None:
    tested = model()
    tested.output_proj.bias.data[0] = 50
    frames, _ = batch(50)
    assert suta.adapt(tested, frames[0], 50, SETTINGS).isfinite().all()


@pytest.mark.parametrize("outside", [torch.no_grad, torch.inference_mode])
def test_it_works_where_an_evaluation_records_no_gradients(outside: type) -> None:
    tested = confident()
    frames, _ = batch(50)
    expected = suta.adapt(tested, frames[0], 50, SETTINGS)
    with outside():
        adapted = suta.adapt(tested, frames[0].clone(), 50, SETTINGS)
    assert torch.equal(adapted, expected)
    assert not adapted.requires_grad
