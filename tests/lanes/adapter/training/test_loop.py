# ruff: noqa: F811  (an imported fixture and the argument it fills)
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from adapter_fixtures import Tiny, tiny  # noqa: F401

from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.data import batches, token_rows
from thunder.lanes.adapter.model import lora
from thunder.lanes.adapter.training.loop import Trainer, learning_rate

ADAPTER = {"layers": 2, "rank": 4, "scale": 20.0, "dropout": 0.0}


def trainer(tiny: Tiny, **train: Any) -> Trainer:
    config = tiny.config(Path(), **train)
    return Trainer(lora.load(tiny.model, ADAPTER, 0), config["train"], 0.01)


def test_supervised_logits_equal_full_logits(tiny: Tiny) -> None:
    adapted = lora.load(tiny.model, ADAPTER, 0)
    inputs, positions = mx.arange(40).reshape(2, 20), mx.array([3, 19, 20, 33])
    supervised = adapted.logits(inputs, positions)
    full = adapted.model(inputs).reshape(40, -1)[positions]
    assert adapted.selecting is not None
    assert np.allclose(np.array(supervised), np.array(full), atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_is_found_in_other_models(tied: bool) -> None:
    from mlx_lm.models import qwen3

    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "num_attention_heads": 2,
    }
    rest = {"num_key_value_heads": 1, "head_dim": 16, "vocab_size": 64, "rope_theta": 1e4}
    fixed = {"model_type": "qwen3", "rms_norm_eps": 1e-6, "max_position_embeddings": 64}
    args = qwen3.ModelArgs(**sizes, **rest, **fixed, tie_word_embeddings=tied)
    assert lora._selecting(qwen3.Model(args)) is not None


def test_a_model_without_a_known_head_gives_full_logits(tiny: Tiny) -> None:
    adapted = lora.load(tiny.model, ADAPTER, 0)
    inputs, positions = mx.arange(20)[None], mx.array([3, 19])
    logits = adapted.logits(inputs, positions)
    adapted.selecting = None
    assert np.allclose(np.array(logits), np.array(adapted.logits(inputs, positions)), atol=1e-5)


def test_only_lora_is_trainable(tiny: Tiny) -> None:
    adapted = lora.load(tiny.model, ADAPTER, 0)
    assert {name.rsplit(".", 1)[-1] for name in adapted.names} == {"lora_a", "lora_b"}


def test_a_trainable_base_weight_is_refused(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Module, "freeze", lambda module: module)
    with pytest.raises(ThunderError, match=r"trainable beside lora_a and lora_b: .*embed_tokens"):
        lora.load(tiny.model, ADAPTER, 0)


def test_more_layers_than_the_model_has_are_refused(tiny: Tiny) -> None:
    with pytest.raises(ThunderError, match=r"adapter\.layers is 9, but model has 2 layers"):
        lora.load(tiny.model, ADAPTER | {"layers": 9}, 0)


def test_initial_weights_depend_on_the_seed_alone(tiny: Tiny) -> None:
    first, again, other = (np.array(lora.load(tiny.model, ADAPTER, s).vector()) for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_step_equals_the_plain_recipe_of_mlx(tiny: Tiny) -> None:
    import mlx.optimizers as optim

    mine, plain = trainer(tiny), lora.load(tiny.model, ADAPTER, 0)
    rows = token_rows.load(tiny.tokens / "train.npz")
    batch = batches.collate(rows, np.array([0, 1, 2]))
    arrays = [mx.array(a) for a in (batch.inputs, batch.positions, batch.targets, batch.weights)]

    def loss(model: Any, inputs: Any, positions: Any, targets: Any, weights: Any) -> Any:
        logits = model(inputs).reshape(inputs.size, -1)[positions]
        return (nn.losses.cross_entropy(logits, targets) * weights).sum() / weights.sum()

    optimizer = optim.AdamW(0.0, weight_decay=0.01, bias_correction=True)
    for step in range(3):
        value, gradient = nn.value_and_grad(plain.model, loss)(plain.model, *arrays)
        gradient, norm = optim.clip_grad_norm(gradient, 1.0)
        optimizer.learning_rate = learning_rate(step, 0.01, mine.train)
        optimizer.update(plain.model, gradient)
        outcome = mine.advance(batch)
        assert outcome.loss == pytest.approx(value.item(), rel=1e-3)
        assert outcome.gradient_norm == pytest.approx(norm.item(), rel=1e-2)
    # Where a gradient is almost zero, AdamW makes much of its rounding.
    apart = np.abs(np.array(mine.vector) - np.array(plain.vector()))
    assert np.quantile(apart, 0.95) < 1e-4


def test_training_lowers_the_loss(tiny: Tiny) -> None:
    mine = trainer(tiny)
    rows = token_rows.load(tiny.tokens / "train.npz")
    before = mine.evaluate(rows)
    order = batches.Order(tuple(rows.lengths.tolist()), 0, 4)
    for step in range(12):
        mine.advance(batches.collate(rows, order.batch(step)))
    assert mine.evaluate(rows) < before - 0.3


def test_evaluation_leaves_no_trace(tiny: Tiny) -> None:
    adapted = lora.load(tiny.model, ADAPTER | {"dropout": 0.3}, 0)
    mine = Trainer(adapted, tiny.config(Path())["train"], 0.01)
    rows = token_rows.load(tiny.tokens / "train.npz")
    mx.random.seed(5)
    key = np.array(mx.random.state[0])
    assert mine.evaluate(rows) == mine.evaluate(rows)
    assert (np.array(mx.random.state[0]) == key).all()


def test_a_loss_that_is_not_finite_is_refused(tiny: Tiny) -> None:
    mine = trainer(tiny)
    mine.vector = mine.vector * float("nan")
    rows = token_rows.load(tiny.tokens / "train.npz")
    with pytest.raises(ThunderError, match="step 1: the loss is nan") as caught:
        mine.advance(batches.collate(rows, np.array([0])))
    assert caught.value.cause == "training"
    assert mine.step == 0


def test_learning_rate_rises_then_falls_over_the_whole_profile() -> None:
    train = {"steps": 100, "warmup_fraction": 0.1}
    rates = [learning_rate(step, 1.0, train) for step in range(100)]
    assert rates[:10] == pytest.approx([n / 10 for n in range(1, 11)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.02


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_without_a_model_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ThunderError, match=folder) as caught:
        lora.load(tmp_path / folder, ADAPTER, 0)
    assert caught.value.cause == "model"
