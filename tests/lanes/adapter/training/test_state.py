from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from adapter_fixtures import INPUTS

from thunder.ground import files, run_files
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.training import state
from thunder.training import checkpoints

RECORD: dict[str, Any] = {
    "step": 5,
    "total_steps": 20,
    "model": "tiny",
    "strategy": "data",
    "lora_rank": 4,
    "num_layers": 2,
    "learning_rate": 0.01,
    "batch_size": 2,
    "timestamp": "2026-01-01T00:00:00+00:00",
    "run_id": "run",
    "stand_in": True,
    "world_size": 1,
    "rank_weights": [1],
    "seed": 0,
    "kept": True,
    "train_loss": 6.0,
    "valid_loss": 6.1,
    "valid_tokens": 100,
    "tokens_seen": 500,
    "trainable_parameters": 4,
    "fingerprint": {
        "blas": "netlib",
        "threads": 1,
        "mlx": "0.32.4",
        "backend": "cpu",
        "dtype": "float32",
        "machine": "Linux x86_64",
        "ranks_alike": True,
    },
    "inputs": INPUTS,
}


def save(run: Path, step: int, kept: bool = True) -> Path:
    tensors = {
        "adapters": {"b": mx.ones(2), "a": mx.zeros(2)},
        "optimizer": {"m": mx.ones(4), "v": mx.ones(4), "step": mx.array(step, mx.uint64)},
        "rng": {"keys": mx.zeros((1, 2), mx.uint32)},
    }
    return state.save(run, tensors, {"num_layers": 2}, RECORD | {"step": step, "kept": kept})


def test_the_newest_whole_checkpoint_is_found(tmp_path: Path) -> None:
    for step in (5, 10):
        save(tmp_path, step)
    newest, warnings = checkpoints.latest(tmp_path, state.LAYOUT)
    assert (newest and newest.step, warnings) == (10, [])


def test_a_run_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert checkpoints.latest(tmp_path, state.LAYOUT) == (None, [])


@pytest.mark.parametrize("name", [*state.TENSORS, "checkpoint.json"])
@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(
    tmp_path: Path, name: str, harm: str
) -> None:
    save(tmp_path, 5)
    path = save(tmp_path, 10) / name
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        path.unlink()
    newest, warnings = checkpoints.latest(tmp_path, state.LAYOUT)
    assert newest is not None
    assert newest.step == 5
    assert len(warnings) == 1
    assert "passed over a damaged checkpoint" in warnings[0]


def test_a_renamed_checkpoint_is_passed_over(tmp_path: Path) -> None:
    save(tmp_path, 5).rename(checkpoints.folder_of(tmp_path, 15))
    assert checkpoints.latest(tmp_path, state.LAYOUT)[0] is None


def test_passing_checkpoints_go_and_window_ends_stay(tmp_path: Path) -> None:
    for step, kept in ((5, False), (10, True), (15, False), (20, True)):
        save(tmp_path, step, kept)
    assert checkpoints.steps(tmp_path) == [20, 10]


def test_a_half_dropped_checkpoint_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (save(tmp_path, 5, kept=False) / "checkpoint.json").unlink()
    gone = save(tmp_path, 10, kept=False)
    gone.rename(gone.with_name(f".{gone.name}.gone.thunder-tmp"))
    save(tmp_path, 15)
    state.clean(tmp_path, 15)
    assert checkpoints.steps(tmp_path) == [15, 5]
    assert not list(tmp_path.glob("checkpoints/.*"))


def test_a_checkpoint_that_a_window_passed_can_be_kept(tmp_path: Path) -> None:
    folder = save(tmp_path, 5, kept=False)
    checkpoints.keep(folder, state.LAYOUT, valid_loss=5.5)
    save(tmp_path, 10)
    assert checkpoints.read(folder, state.LAYOUT).record["valid_loss"] == 5.5


def test_equal_tensors_give_equal_files(tmp_path: Path) -> None:
    first, second = save(tmp_path / "a", 5), save(tmp_path / "b", 5)
    assert all(
        (first / name).read_bytes() == (second / name).read_bytes() for name in state.TENSORS
    )


def test_cleaning_cuts_the_metrics_and_sets_later_folders_aside(tmp_path: Path) -> None:
    for step in (5, 10):
        save(tmp_path, step)
    files.write_jsonl(tmp_path / run_files.ROWS, [{"step": n, "loss": 1.0} for n in range(1, 9)])
    with (tmp_path / run_files.ROWS).open("a") as stream:
        stream.write('{"step": 9, "lo')
    (tmp_path / "checkpoints" / ".step-0000010.x.thunder-tmp").mkdir()
    state.clean(tmp_path, 5)
    assert [row["step"] for row in files.read_jsonl(tmp_path / run_files.ROWS)] == [1, 2, 3, 4, 5]
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [".damaged-step-0000010", "step-0000005"]


def test_other_inputs_are_refused_with_old_and_new(tmp_path: Path) -> None:
    save(tmp_path, 5)
    newest, _ = checkpoints.latest(tmp_path, state.LAYOUT)
    assert newest is not None
    state.refuse_other_inputs(newest, INPUTS)
    with pytest.raises(ThunderError, match=f"data was {'1' * 64}, now {'2' * 64}"):
        state.refuse_other_inputs(newest, INPUTS | {"data": "2" * 64})


def test_the_export_holds_what_mlx_lm_loads(tmp_path: Path) -> None:
    state.export(tmp_path, save(tmp_path, 5))
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == set(state.EXPORTED)


def test_a_stray_folder_beside_the_checkpoints_is_no_checkpoint(tmp_path: Path) -> None:
    for name in ("step-0000010 copy", "step-final", ".step-0000010.x.thunder-tmp"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert checkpoints.steps(tmp_path) == []
