# ruff: noqa: F811  (an imported fixture and the argument it fills)
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adapter_fixtures import (
    Tiny,
    digests,
    is_alive,
    ranks_of,
    supervisor,
    tiny,  # noqa: F401
    wait_for,
    wait_for_step,
)

from thunder.ground import files, run_files
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter import verify
from thunder.lanes.adapter.training import ranks, state
from thunder.training import checkpoints

pytestmark = pytest.mark.slow

Train = Callable[..., dict[str, Any]]
# So many steps that a rank still has most of them ahead when a late signal comes.
LONG = 100
_uncut: dict[tuple[int, float, int], tuple[dict[str, str], list[Any]]] = {}


def silent(event: dict[str, Any]) -> None:
    return None


def losses(run: Path) -> list[Any]:
    rows = files.read_jsonl(run / run_files.ROWS)
    return [(row["step"], row["loss"]) for row in rows if "loss" in row]


def shape(world: int, dropout: float) -> dict[str, Any]:
    return {"ranks": world, "batch_size": 4 // world, "dropout": dropout}


def long(tiny: Tiny, run: Path) -> ranks.Request:
    return tiny.request(run, LONG, steps=LONG, eval_every=LONG, **shape(2, 0.05))


def uncut(tiny: Tiny, folder: Path, world: int, dropout: float) -> tuple[dict[str, str], list[Any]]:
    key = (world, dropout, 20)
    if key not in _uncut:
        run = folder / "uncut"
        ranks.train_window(tiny.request(run, 20, **shape(world, dropout)), silent)
        _uncut[key] = digests(run, 20), losses(run)
    return _uncut[key]


def long_uncut(tiny: Tiny, folder: Path) -> tuple[dict[str, str], list[Any]]:
    key = (2, 0.05, LONG)
    if key not in _uncut:
        run = folder / "uncut"
        ranks.train_window(long(tiny, run), silent)
        _uncut[key] = digests(run, LONG), losses(run)
    return _uncut[key]


@pytest.mark.parametrize(("world", "dropout"), [(1, 0.05), (2, 0.05)])
def test_windows_equal_one_run_to_the_bit(
    tiny: Tiny, tmp_path: Path, world: int, dropout: float
) -> None:
    run = tmp_path / "cut"
    for stop in (7, 13, 20):
        ranks.train_window(tiny.request(run, stop, **shape(world, dropout)), silent)
    assert (digests(run, 20), losses(run)) == uncut(tiny, tmp_path, world, dropout)
    assert checkpoints.steps(run) == [20, 13, 7]


# Before anything is saved, and within a step long after that.
@pytest.mark.parametrize(("step", "victim", "delay"), [(4, 0, 0.0), (23, 1, 0.1)])
def test_a_run_with_a_killed_rank_ends_as_without(
    tiny: Tiny,
    tmp_path: Path,
    step: int,
    victim: int,
    delay: float,
) -> None:
    run = tmp_path / "killed"
    pids: list[int] = []

    def emit(event: dict[str, Any]) -> None:
        # At the first event all ranks live; whoever looks later may find one of them gone.
        pids.extend(() if pids else ranks_of(os.getpid()))
        if event["event"] == "step" and event["step"] == step:
            time.sleep(delay)
            os.kill(pids[victim], signal.SIGKILL)

    said = rf"rank {victim} \(pid \d+\) was killed by SIGKILL"
    with pytest.raises(ThunderError, match=said) as caught:
        ranks.train_window(long(tiny, run), emit)
    assert caught.value.cause == "ranks"
    assert len(pids) == 2
    assert not ranks_of(os.getpid())
    assert LONG not in checkpoints.steps(run)
    ranks.train_window(long(tiny, run), silent)
    assert (digests(run, LONG), losses(run)) == long_uncut(tiny, tmp_path)


def test_a_run_with_a_killed_supervisor_ends_as_without(tiny: Tiny, tmp_path: Path) -> None:
    run = tmp_path / "killed"
    request = long(tiny, run)
    with supervisor(request) as supervising:
        wait_for_step(supervising, 6)
        pids = ranks_of(supervising.pid)
        time.sleep(random.Random(6).uniform(0.0, 0.2))
        supervising.kill()
        assert len(pids) == 2
        assert wait_for(lambda: not any(map(is_alive, pids)), 5.0)
    assert LONG not in checkpoints.steps(run)
    ranks.train_window(request, silent)
    assert (digests(run, LONG), losses(run)) == long_uncut(tiny, tmp_path)


def test_ranks_do_not_change_the_numbers(tiny: Tiny, tmp_path: Path) -> None:
    rows = {}
    for name, train in {
        "one": {"ranks": 1, "batch_size": 3},
        "uneven": {"ranks": 2, "batch_size": 1, "rank_weights": [2, 1]},
    }.items():
        ranks.train_window(tiny.request(tmp_path / name, 8, dropout=0.0, **train), silent)
        rows[name] = losses(tmp_path / name)
    for (_, one), (_, uneven) in zip(rows["one"], rows["uneven"], strict=True):
        # Another order of sums; what was counted twice or left out would show in the first digit.
        assert uneven == pytest.approx(one, rel=1e-3)
    first = [next(row for row in files.read_jsonl(tmp_path / n / run_files.ROWS)) for n in rows]
    assert first[0]["valid_loss"] == first[1]["valid_loss"]


def test_a_verified_run_loads_in_mlx_lm_with_its_loss(tiny: Tiny, tmp_path: Path) -> None:
    import mlx.core as mx
    import mlx_lm

    request = tiny.request(tmp_path, 6, ranks=2, batch_size=1)
    ranks.train_window(request, silent)
    rows = verify.verify(request, 6, silent)
    assert [row["status"] for row in rows] == ["PASS"] * 6
    assert rows[-1]["measured"].endswith("equal to the bit")
    state.export(tmp_path, checkpoints.folder_of(tmp_path, 6))
    model, _ = mlx_lm.load(str(tiny.model), adapter_path=str(tmp_path))
    batch = mx.array([[2, 5, 9, 11]])
    plain, _ = mlx_lm.load(str(tiny.model))
    assert mx.abs(model(batch) - plain(batch)).max().item() > 1e-4


@pytest.fixture(scope="module")
def trained(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run at step 2, to be copied."""
    run = tmp_path_factory.mktemp("trained")
    ranks.train_window(tiny.request(run, 2), silent)
    return run


@pytest.mark.parametrize("harm", ["tamper", "forget", "repeat", "alien"])
def test_a_checkpoint_that_is_not_what_was_trained_is_refused(
    tiny: Tiny, trained: Path, tmp_path: Path, harm: str
) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    request = tiny.request(tmp_path, 2)
    folder = checkpoints.folder_of(tmp_path, 2)
    if harm == "tamper":
        path = folder / "adapters.safetensors"
        path.write_bytes(path.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    elif harm == "forget":
        (folder / "rng.safetensors").unlink()
    else:
        path = folder / "checkpoint.json"
        record = files.read_json(path)
        other = {"repeat": {"valid_loss": record["valid_loss"] + 1e-6}, "alien": {"seed": 7}}
        files.write_json(path, record | other[harm])
    expected = {
        "tamper": "has sha256",
        "forget": "is missing",
        "repeat": "metrics.jsonl says",
        "alien": "seed is 7, asked was 0",
    }[harm]
    with pytest.raises(ThunderError, match=expected) as caught:
        verify.verify(request, 2, silent)
    assert caught.value.cause == "verification"


def test_a_shorter_window_after_a_longer_one_keeps_what_is_there(
    tiny: Tiny, tmp_path: Path
) -> None:
    with supervisor(tiny.request(tmp_path, 20, save_every=4, eval_every=100)) as supervising:
        wait_for_step(supervising, 10)
    reached = ranks.train_window(tiny.request(tmp_path, 4), silent)
    assert reached["start"] == reached["step"] >= 8
    assert checkpoints.latest(tmp_path, state.LAYOUT)[0].record["kept"]
    rows = verify.verify(tiny.request(tmp_path, 4), reached["step"], silent)
    assert {row["status"] for row in rows} == {"PASS"}


def test_other_inputs_or_ranks_are_refused_on_resume(
    tiny: Tiny, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    request = tiny.request(tmp_path, 2)
    other = ranks.Request(
        **{**vars(request), "stop": 4, "inputs": {"model": "0" * 64, "data": "2" * 64}}
    )
    with pytest.raises(ThunderError, match=r"data was 1+, now 2+") as caught:
        ranks.train_window(other, silent)
    assert caught.value.cause == "data"
    with pytest.raises(ThunderError, match="trained by 1 ranks, not 2"):
        ranks.train_window(tiny.request(tmp_path, 4, ranks=2), silent)
    assert checkpoints.steps(tmp_path) == [2]
