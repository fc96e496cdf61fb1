from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asr_training import CPU, as_trained, config, letters, trained  # noqa: F401
from torch import Tensor, nn

from thunder.backends.torch.peers import Peers
from thunder.ground import files, run_files, schema
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import artifacts, job
from thunder.lanes.asr.material import Material
from thunder.lanes.asr.model import ctc, tar
from thunder.lanes.asr.training import batches, epoch, learner, loop, state
from thunder.lanes.asr.training.learner import Learner


def plain(**changes: Any) -> Material:
    off = {"probability": 0.0, "time_bands": 0, "time_frames": 0}
    off |= {"feature_bands": 0, "feature_share": 0.0}
    return letters(config(model__dropout=0.0, train__spec_augment=off, **changes))


def student(material: Material) -> Learner:
    torch.manual_seed(0)
    model = ctc.build(material.config, material.store.dims, len(material.vocabulary.tokens))
    return Learner(model, material.config, steps=100, blank=0, machine=CPU, peers=Peers())


def batch(material: Material, rows: list[int]) -> batches.Batch:
    return batches.collate(
        material.store, material.splits["train"], np.array(rows), epoch.window(material)
    )


@pytest.mark.parametrize(
    ("step", "share"), [(0, 0.1), (4, 0.5), (9, 1.0), (10, 1.0), (55, 0.5), (100, 0.0)]
)
def test_the_rate_rises_for_a_tenth_of_all_steps_then_falls_as_a_cosine(
    step: int, share: float
) -> None:
    assert learner.learning_rate(step, 3e-4, 100, 500) == pytest.approx(3e-4 * share)


def test_a_short_warm_up_is_as_short_as_it_says() -> None:
    rates = [learner.learning_rate(step, 1.0, 1000, 5) for step in range(6)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_a_run_of_a_few_steps_begins_at_the_peak() -> None:
    assert learner.learning_rate(0, 1.0, 9, 500) == 1.0


def test_the_peak_is_the_rate_times_the_factor_of_the_size() -> None:
    assert student(plain()).rate(10) == pytest.approx(1e-3 * 10)


def test_the_loss_is_the_mean_that_torch_and_publications_mean() -> None:
    material = plain()
    one, some = student(material), batch(material, [1, 5, 7])
    output = one.model(some.frames.float(), some.lengths)
    losses = learner.row_losses(output.log_probs, output.lengths, some, 0)
    expected = nn.functional.ctc_loss(
        output.log_probs.transpose(0, 1), some.targets, output.lengths, some.target_lengths
    )
    assert losses.mean().item() == pytest.approx(expected.item(), rel=1e-6)


def gradient_of(one: Learner, some: batches.Batch) -> Tensor:
    output = one.model(some.frames.float(), some.lengths)
    loss = learner.row_losses(output.log_probs, output.lengths, some, 0).mean()
    gradients = torch.autograd.grad(loss, list(one.model.parameters()), allow_unused=True)
    parameters = one.model.parameters()
    return torch.cat(
        [
            torch.zeros(parameter.numel()) if part is None else part.flatten()
            for part, parameter in zip(gradients, parameters, strict=True)
        ]
    )


def test_a_step_takes_the_clipped_gradient_of_the_mean_loss() -> None:
    material = plain(train__clip_norm=0.5)
    one, some = student(material), batch(material, [1, 5, 7])
    expected = gradient_of(one, some)
    outcome = one.advance(0, some, None, 3)
    assert outcome.gradient_norm == pytest.approx(expected.norm().item(), rel=1e-5)
    assert outcome.gradient_norm > 0.5
    torch.testing.assert_close(one.gradient[:-1], expected * 0.5 / expected.norm())


def test_shares_of_a_batch_add_up_to_its_gradient() -> None:
    material = plain(train__clip_norm=1e9)
    one = student(material)
    expected = gradient_of(one, batch(material, [1, 5, 7]))
    parts = []
    for rows in ([1, 7], [5]):
        other = student(material)
        other.advance(0, batch(material, rows), None, 3)
        parts.append(other.gradient[:-1].clone())
    torch.testing.assert_close(parts[0] + parts[1], expected, rtol=1e-4, atol=1e-6)


def test_a_rank_without_rows_adds_nothing() -> None:
    outcome = student(plain()).advance(0, None, None, 3)
    assert (outcome.loss, outcome.gradient_norm) == (0.0, 0.0)


def test_mode_tar_adds_its_term_to_the_gradient_and_not_to_the_reported_loss() -> None:
    changes = {"train__clip_norm": 1e9, "tar__beta": 2.0}
    material, baseline = plain(mode="tar", **changes), plain(**changes)
    one, other = student(material), student(baseline)
    some = batch(material, [1, 5])
    output = other.model(some.frames.float(), some.lengths)
    term = tar.penalty(output.hidden, output.lengths, alpha=0.0, beta=2.0)
    parts = torch.autograd.grad(term, list(other.model.parameters()), allow_unused=True)
    expected = gradient_of(other, some) + torch.cat(
        [
            torch.zeros(parameter.numel()) if part is None else part.flatten()
            for part, parameter in zip(parts, other.model.parameters(), strict=True)
        ]
    )
    told = other.advance(0, some, None, 2).loss
    assert one.advance(0, some, None, 2).loss == pytest.approx(told)
    torch.testing.assert_close(one.gradient[:-1], expected, rtol=1e-4, atol=1e-6)


def test_vectors_do_not_decay_and_matrices_do() -> None:
    groups = student(plain()).optimizer.param_groups
    decays = {
        (parameter.ndim > 1, group["weight_decay"])
        for group in groups
        for parameter in group["params"]
    }
    assert decays == {(True, 0.01), (False, 0.0)}


def test_a_step_that_is_not_finite_moves_nothing() -> None:
    material = plain()
    one, some = student(material), batch(material, [1, 5])
    some.frames[0, 3] = torch.inf
    before = one.fingerprint()
    outcome = one.advance(0, some, None, 2)
    assert not outcome.is_finite
    assert one.fingerprint().equal(before)
    assert not one.optimizer.state


def broken(material: Material, rows: int) -> Material:
    for row in range(rows):
        material.store.frames(row)[0] = np.nan
    return material


def test_steps_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    material = broken(letters(config(train__epochs=1)), 1)
    saved = loop.train(material, tmp_path, CPU, Peers(), lambda event: None)
    assert saved.history[0]["nonfinite"] == 1
    assert np.isfinite(saved.history[0]["train_loss"])
    assert "1 steps skipped" in (tmp_path / artifacts.LOG).read_text()


def test_too_many_steps_that_are_not_finite_end_the_run(tmp_path: Path) -> None:
    material = broken(letters(config()), 1)
    with pytest.raises(ThunderError, match=r"epoch 3, step \d+: the loss is nan") as caught:
        loop.train(material, tmp_path, CPU, Peers(), lambda event: None)
    assert caught.value.cause == "training"
    assert state.load(tmp_path, state.about(material)).epoch == 2  # type: ignore[union-attr]


def test_a_validation_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    material = letters(config())
    material.store.frames(int(material.splits["valid"].rows[3]))[0] = np.nan
    with pytest.raises(ThunderError, match="epoch 1: the validation loss is nan") as caught:
        loop.train(material, tmp_path, CPU, Peers(), lambda event: None)
    assert caught.value.cause == "training"


@pytest.mark.parametrize("mode", ["baseline", "trajectory", "tar", "trajectory_ttt"])
def test_every_mode_learns(tmp_path: Path, mode: str) -> None:
    history = trained(tmp_path, mode=mode, train__epochs=6).history
    assert history[-1]["valid_loss"] < history[0]["valid_loss"] / 2
    assert history[-1]["valid_cer"] < 0.5


def test_padded_rows_learn_too(tmp_path: Path) -> None:
    changes = {"model__lengths": "padded", "features__seconds": 1.0, "train__bucketed": False}
    history = trained(tmp_path, train__epochs=6, **changes).history
    assert history[-1]["valid_loss"] < history[0]["valid_loss"] / 2


def test_rows_that_do_not_fit_are_in_no_step_and_in_no_loss(tmp_path: Path) -> None:
    material = letters(config(train__epochs=1))
    for name in ("train", "valid"):
        split = material.splits[name]
        split.targets[0].extend([5] * 400)  # its loss is infinite
        split.fits[0] = False
    assert epoch.steps(material) == 12
    saved = loop.train(material, tmp_path, CPU, Peers(), lambda event: None)
    assert len(saved.standing.firm_losses) == len(material.splits["valid"].ids) - 1
    assert saved.history[0]["nonfinite"] == 0
    assert np.isfinite(saved.history[0]["valid_loss"])


def test_each_epoch_leaves_its_row_and_its_line(tmp_path: Path) -> None:
    saved = trained(tmp_path)
    rows = list(files.read_jsonl(tmp_path / run_files.ROWS))
    assert rows == saved.history
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        schema.check("metrics_row", row, "metrics.jsonl")
    assert set(rows[0]) == {
        "step", "train_loss", "valid_loss", "valid_cer", "learning_rate", "utterances_per_second",
        "nonfinite", "seconds", "grad_norm_max",
    }  # fmt: skip
    lines = (tmp_path / artifacts.LOG).read_text().splitlines()
    assert len(lines) == 5
    assert "stopped: epochs" in lines[-1]


def test_events_tell_of_steps_and_epochs(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    trained(tmp_path, emit=events.append)
    steps = [event for event in events if event["event"] == "step"]
    last = [event for event in steps if event["step"] == event["of"]]
    assert [event["epoch"] for event in last] == [1, 2, 3, 4]
    assert {event["of"] for event in steps} == {12}
    valid = [event for event in events if event["event"] == "valid"]
    assert [event["step"] for event in valid] == [1, 2, 3, 4]
    assert {tuple(event["metrics"]) for event in valid} == {("valid_loss", "valid_cer")}
    assert len(steps) < 24  # of 48: no more than somebody can read


def test_patience_ends_a_run_that_no_longer_improves(tmp_path: Path) -> None:
    saved = trained(tmp_path, train__epochs=50, train__patience=2, train__learning_rate=0.1)
    assert saved.stopped == loop.PATIENCE
    assert saved.epoch == saved.standing.firm_epoch + 2
    assert "stopped: patience" in (tmp_path / artifacts.LOG).read_text()


def test_the_best_model_is_that_of_the_lowest_validation_loss(tmp_path: Path) -> None:
    saved = trained(tmp_path, train__epochs=6, train__learning_rate=0.02)
    losses = [row["valid_loss"] for row in saved.history]
    assert saved.standing.best_epoch == 1 + int(np.argmin(losses))
    best = torch.load(tmp_path / artifacts.BEST, weights_only=True)
    assert best["epoch"] == saved.standing.best_epoch
    assert best["valid_loss"] == pytest.approx(min(losses))


def test_a_model_that_says_blank_everywhere_is_refused() -> None:
    material = letters(config())
    model = ctc.build(material.config, 12, len(material.vocabulary.tokens)).eval()
    job.check_not_blank(model, material, CPU)
    with torch.no_grad():
        model.output_proj.bias[material.vocabulary.blank] += 20
    with pytest.raises(ThunderError, match=r"100.0% of the posterior.*'log_mel_50hz'") as caught:
        job.check_not_blank(model, material, CPU)
    assert caught.value.cause == "training"


def test_where_characters_are_rare_nearly_all_blank_is_honest() -> None:
    changes = {"model__lengths": "padded", "features__seconds": 8.0}
    material = letters(config(**changes))
    model = ctc.build(material.config, 12, len(material.vocabulary.tokens)).eval()
    with torch.no_grad():
        model.output_proj.weight.zero_()
        model.output_proj.bias.zero_()
        model.output_proj.bias[material.vocabulary.blank] = 8.0  # 97.9 %: 5 letters in 200 frames
    job.check_not_blank(model, material, CPU)
