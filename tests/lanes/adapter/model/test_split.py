# ruff: noqa: F811  (an imported fixture and the argument it fills)
"""A split model as one rank of two sees it, without a ring; what ranks compute is in `training`."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import pytest
from adapter_fixtures import Tiny, tiny  # noqa: F401
from adapter_models import write, write_gemma4
from mlx.utils import tree_flatten
from mlx_lm.utils import load_model

from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.model import split, split_plan


def rank_of_two(number: int) -> Any:
    return SimpleNamespace(rank=lambda: number, size=lambda: 2)


def folders(tiny: Tiny, place: Path) -> dict[str, Path]:
    texts = [message["content"] for row in tiny.rows["train"] for message in row["messages"]]
    return {
        "4 bits": write_gemma4(place / "gemma4", texts, bits=4),
        "bfloat16": write(place / "qwen3", "qwen3", "bfloat16", tie_word_embeddings=False),
        "bias": write(place / "qwen2", "qwen2", tie_word_embeddings=True),
    }


@pytest.mark.parametrize("name", ["4 bits", "bfloat16", "bias"])
def test_the_rows_of_all_ranks_are_those_of_the_whole_model(
    tiny: Tiny, tmp_path: Path, name: str
) -> None:
    folder = folders(tiny, tmp_path)[name]
    whole = dict(tree_flatten(load_model(folder)[0].parameters()))
    parts = []
    for number in (0, 1):
        model, _ = load_model(folder, lazy=True)
        split.split(model, folder, 2, rank_of_two(number))
        weights = tree_flatten(model.parameters())
        parts.append({path.replace(".part.", "."): array for path, array in weights})
    assert parts[0].keys() == parts[1].keys() == whole.keys()
    for path, array in whole.items():
        both = [part[path] for part in parts]
        if split_plan.is_split(path.rpartition(".")[0], 2):
            assert [len(rows) for rows in both] == [len(array) // 2] * 2
            both = [mx.concatenate(both)]
        assert all(bool(mx.array_equal(rows, array).item()) for rows in both), path


def test_a_rank_never_holds_the_whole_of_what_is_split(tiny: Tiny, tmp_path: Path) -> None:
    folder = write(tmp_path / "wide", "llama", hidden_size=512, intermediate_size=1024)
    plan = split_plan.of(folder, 2, 2)
    model, _ = load_model(folder, lazy=True)
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    split.split(model, folder, 2, rank_of_two(0))
    mx.eval(model.parameters())
    assert plan.whole < plan.split
    assert mx.get_peak_memory() - before < 1.05 * plan.per_rank(2)


def test_weights_that_are_stored_otherwise_than_used_are_refused_by_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", "llama")
    model, _ = load_model(folder, lazy=True)
    model.sanitize = lambda weights: {name: array * 2 for name, array in weights.items()}
    with pytest.raises(ThunderError, match=r"\.weight is not stored as it is used") as caught:
        split.split(model, folder, 2, rank_of_two(0))
    assert caught.value.cause == "model"
