import json
from pathlib import Path
from typing import Any

import pytest

from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.model import split_plan


def write(folder: Path, model_type: str, **rows: int) -> Path:
    """Write the config of a model and the header of its weights: rows of 2 float16 each."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    entries: dict[str, Any] = {}
    end = 0
    for name, count in rows.items():
        entries[name] = {"shape": [count, 2], "data_offsets": [end, end := end + 4 * count]}
    data = json.dumps(entries).encode()
    (folder / "model.safetensors").write_bytes(len(data).to_bytes(8, "little") + data)
    return folder


@pytest.mark.parametrize(
    ("path", "is_split"),
    [
        ("language_model.model.layers.0.self_attn.q_proj", True),
        ("model.layers.3.mlp.down_proj", True),
        ("model.layers.4.mlp.down_proj", False),
        ("model.layers.14.self_attn.o_proj", False),
        ("model.layers.0.self_attn.q_norm", False),
        ("model.layers.0.per_layer_projection", False),
        ("model.embed_tokens", True),
        ("language_model.model.embed_tokens_per_layer", True),
        ("lm_head", True),
        ("model.norm", False),
    ],
)
def test_tables_and_the_projections_below_the_first_adapted_layer_are_split(
    path: str, is_split: bool
) -> None:
    assert split_plan.is_split(path, 4) is is_split


def test_a_rank_holds_its_share_of_what_is_split_and_all_of_the_rest(tmp_path: Path) -> None:
    weights = {
        "model.embed_tokens.weight": 100,
        "model.layers.0.mlp.up_proj.weight": 50,
        "model.layers.1.mlp.up_proj.weight": 20,
        "model.norm.weight": 5,
        "vision_tower.layers.0.mlp.up_proj.weight": 1000,
    }
    plan = split_plan.of(write(tmp_path / "model", "llama", **weights), 1, 2)
    assert plan == split_plan.Plan(split=600, whole=100)
    assert (plan.per_rank(2), plan.per_rank(3)) == (400, 300)


def test_a_type_without_a_split_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ThunderError) as caught:
        split_plan.of(write(tmp_path / "model", "mamba2"), 1, 2)
    assert "cannot split a model of type 'mamba2', only gemma4, " in str(caught.value)
    assert str(caught.value).endswith("use data")


def test_experts_are_refused_by_name(tmp_path: Path) -> None:
    name = "model.layers.0.experts.switch_glu.up_proj"
    with pytest.raises(ThunderError, match=f"cannot split gemma4 with experts .{name}"):
        split_plan.of(write(tmp_path / "model", "gemma4", **{f"{name}.weight": 8}), 1, 2)


def test_fewer_rows_than_ranks_are_refused_with_both_numbers(tmp_path: Path) -> None:
    name = "model.layers.0.self_attn.k_proj"
    folder = write(tmp_path / "model", "qwen3", **{f"{name}.weight": 8, "lm_head.weight": 64})
    with pytest.raises(ThunderError, match=f"{name} has 8 rows, too few for 9 ranks; use fewer"):
        split_plan.of(folder, 1, 9)
    assert split_plan.of(folder, 1, 8).whole == 0
    # A layer that is adapted is whole, whatever its size.
    assert split_plan.of(folder, 0, 9).whole == 32
