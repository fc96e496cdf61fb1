# ruff: noqa: F811  (an imported fixture and the argument it fills)
"""A model that is split over ranks trains as it does on one, in as many windows as one likes."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from adapter_fixtures import Tiny, digests, ranks_of, tiny  # noqa: F401
from adapter_models import write, write_gemma4

from thunder.ground import files, run_files
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter import verify
from thunder.lanes.adapter.model import split_plan
from thunder.lanes.adapter.training import ranks
from thunder.lanes.adapter.training.ranks import Request
from thunder.training import checkpoints

pytestmark = pytest.mark.slow

MODELS = {
    "gemma4": {},
    "gemma4, 4 bits": {"bits": 4},
    "gemma4_text": {
        "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": 384,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "num_kv_shared_layers": 1,
        "global_head_dim": 16,
    },
    "llama": {"tie_word_embeddings": False, "num_key_value_heads": 4},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"tie_word_embeddings": False},
    "qwen3, bfloat16": {"tie_word_embeddings": True, "dtype": "bfloat16"},
}
TOLERANCE = 1e-4
# So many steps that a rank still has most of them ahead when a late signal comes.
LONG = 40
OF_LONG = {"steps": LONG, "eval_every": LONG}


def silent(event: dict[str, Any]) -> None:
    return None


def model_of(tiny: Tiny, folder: Path, name: str, **more: Any) -> Path:
    """Write a model of which the last layer is to be adapted."""
    model_type, settings = name.partition(",")[0], MODELS[name] | more
    if model_type != "gemma4":
        return write(folder, model_type, **settings)
    texts = [message["content"] for row in tiny.rows["train"] for message in row["messages"]]
    return write_gemma4(folder, texts, **settings)


def request(tiny: Tiny, model: Path, run: Path, stop: int, world: int, **train: Any) -> Request:
    """Ask for a training of the last layer: whole on one rank, split over several."""
    strategy = "tensor" if world > 1 else "data"
    settings = {"ranks": world, "strategy": strategy, "batch_size": 3} | train
    asked = replace(tiny.request(run, stop, **settings), model_folder=str(model))
    asked.config["adapter"]["layers"] = 1
    return asked


def steps(run: Path, key: str) -> list[float]:
    return [row[key] for row in files.read_jsonl(run / run_files.ROWS) if key in row]


def peaks(run: Path, step: int) -> list[int]:
    record = files.read_json(checkpoints.folder_of(run, step) / "checkpoint.json")
    return list(record["peak_memory_bytes"])


@pytest.mark.parametrize(
    ("name", "world"), [(name, 3 if name == "gemma4" else 2) for name in MODELS]
)
def test_a_split_model_has_the_losses_and_gradients_of_a_whole_one(
    tiny: Tiny, tmp_path: Path, name: str, world: int
) -> None:
    model = model_of(tiny, tmp_path / "model", name)
    for count in (1, world):
        ranks.train_window(request(tiny, model, tmp_path / f"on {count}", 6, count), silent)
    one, split = tmp_path / "on 1", tmp_path / f"on {world}"
    # The head's gradient is a sum over ranks, each part of it rounded to the model's type.
    rel = 10 * TOLERANCE if "bfloat16" in name else TOLERANCE
    for key in ("loss", "valid_loss"):
        assert steps(split, key) == pytest.approx(steps(one, key), rel=rel), key
        assert steps(split, key)[0] == pytest.approx(steps(one, key)[0], rel=1e-6), key
    # What differs in the last digits, AdamW lets grow from step to step: the first gradient counts.
    assert steps(split, "grad_norm")[0] == pytest.approx(steps(one, "grad_norm")[0], rel=rel)
    assert steps(split, "tokens") == steps(one, "tokens")
    # A training that moved nothing would have equal losses as well.
    first, last = (steps(one, "valid_loss")[place] for place in (0, -1))
    assert abs(last - first) > 10 * TOLERANCE * first
    assert len(peaks(split, 6)) == world


@pytest.fixture(scope="module")
def uncut(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model, and a run of LONG steps that split it over two ranks."""
    folder = tmp_path_factory.mktemp("uncut")
    model = model_of(tiny, folder / "model", "gemma4")
    ranks.train_window(request(tiny, model, folder / "run", LONG, 2, **OF_LONG), silent)
    return model, folder / "run"


def test_windows_of_a_split_model_equal_one_run_to_the_bit(
    tiny: Tiny, uncut: tuple[Path, Path], tmp_path: Path
) -> None:
    model, whole = uncut
    for stop in (7, 13, LONG):
        ranks.train_window(request(tiny, model, tmp_path, stop, 2, **OF_LONG), silent)
    assert digests(tmp_path, LONG) == digests(whole, LONG)
    assert steps(tmp_path, "loss") == steps(whole, "loss")


def test_a_split_run_with_a_killed_rank_ends_as_without(
    tiny: Tiny, uncut: tuple[Path, Path], tmp_path: Path
) -> None:
    model, whole = uncut
    asked = request(tiny, model, tmp_path, LONG, 2, **OF_LONG)

    def kill(event: dict[str, Any]) -> None:
        if event["event"] == "step" and event["step"] == 8:
            os.kill(ranks_of(os.getpid())[1], signal.SIGKILL)

    with pytest.raises(ThunderError, match=r"rank 1 .*SIGKILL"):
        ranks.train_window(asked, kill)
    assert LONG not in checkpoints.steps(tmp_path)
    ranks.train_window(asked, silent)
    assert digests(tmp_path, LONG) == digests(whole, LONG)


def test_a_split_checkpoint_is_verified_by_as_many_ranks_to_the_bit(
    tiny: Tiny, tmp_path: Path
) -> None:
    model = model_of(tiny, tmp_path / "model", "gemma4")
    asked = request(tiny, model, tmp_path / "run", 4, 2)
    ranks.train_window(asked, silent)
    pids: set[int] = set()
    rows = verify.verify(asked, 4, lambda event: pids.update(ranks_of(os.getpid())))
    assert [row["status"] for row in rows] == ["PASS"] * 6
    assert rows[-1]["measured"].endswith("equal to the bit")
    assert len(pids) == 2


def test_a_rank_of_a_split_model_needs_less_memory_than_one_with_all_of_it(
    tiny: Tiny, tmp_path: Path
) -> None:
    model = model_of(tiny, tmp_path / "model", "gemma4", hidden=256, layers=6)
    for world in (1, 2):
        train = {"batch_size": 1, "valid_rows": 2, "stall_seconds": 60.0}
        ranks.train_window(
            request(tiny, model, tmp_path / f"on {world}", 2, world, **train), silent
        )
    (whole,), split = peaks(tmp_path / "on 1", 2), peaks(tmp_path / "on 2", 2)
    saved = split_plan.of(model, 5, 2).split // 2
    assert saved > whole / 4
    assert all(peak < whole - 0.8 * saved for peak in split)
