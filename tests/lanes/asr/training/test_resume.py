"""A run that was killed goes on and ends with the bits of one that was not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asr_training
import pytest
import torch
from asr_training import CPU, as_trained, at_rename, config, letters, trained  # noqa: F401
from torch import Tensor

from thunder.backends.torch import machine
from thunder.backends.torch.peers import Peers
from thunder.ground import digest, files, run_files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import artifacts
from thunder.lanes.asr.training import loop, state

CLOCK = {"seconds", "utterances_per_second"}
RENAMES = 3  # of an epoch that is the best so far: last.pt, best.pt, metrics.jsonl
DROPOUT = {"model__dropout": 0.2}


def tensors(value: Any, place: str = "") -> dict[str, Tensor]:
    """Return all tensors of a nested value by their place."""
    if isinstance(value, Tensor):
        return {place: value}
    if isinstance(value, dict):
        parts = [tensors(one, f"{place}.{key}") for key, one in value.items()]
    elif isinstance(value, list):
        parts = [tensors(one, f"{place}.{key}") for key, one in enumerate(value)]
    else:
        return {}
    return {key: one for part in parts for key, one in part.items()}


def outcome(folder: Path) -> tuple[Any, ...]:
    """Return all that a run left, what a clock says aside."""
    last = torch.load(folder / artifacts.LAST, weights_only=True)
    bits = {place: one.numpy().tobytes() for place, one in tensors(last).items()}
    rows = files.read_jsonl(folder / run_files.ROWS)
    history = [{k: v for k, v in row.items() if k not in CLOCK} for row in rows]
    return bits, history, last["stopped"], digest.of_file(folder / artifacts.BEST)


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    folder = tmp_path_factory.mktemp("uncut")
    machine.prepare(CPU)
    trained(folder, **DROPOUT)
    return outcome(folder)


class Cut(Exception):
    pass


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_a_run_cut_within_an_epoch_ends_with_the_same_bits(
    tmp_path: Path, uncut: tuple[Any, ...], epoch: int
) -> None:
    def cut(event: dict[str, Any]) -> None:
        if event["event"] == "step" and event["epoch"] == epoch:
            raise Cut

    with pytest.raises(Cut):
        trained(tmp_path, emit=cut, **DROPOUT)
    trained(tmp_path, **DROPOUT)
    assert outcome(tmp_path) == uncut
    assert "resumed after epoch" in (tmp_path / artifacts.LOG).read_text() or epoch == 1


class Killed(BaseException):
    pass


def dies() -> None:
    raise Killed


@pytest.mark.parametrize("rename", [1, 2, 3, RENAMES + 1, RENAMES + 2, RENAMES + 3])
def test_cut_between_any_two_files_it_ends_with_the_same_bits(
    tmp_path: Path, uncut: tuple[Any, ...], rename: int
) -> None:
    with pytest.raises(Killed), at_rename(rename, dies):
        trained(tmp_path, **DROPOUT)
    trained(tmp_path, **DROPOUT)
    assert outcome(tmp_path) == uncut


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_bits(
    tmp_path: Path, uncut: tuple[Any, ...]
) -> None:
    chance = random.Random(0)
    for rename in (RENAMES + 1, 1000):  # while it saves, then while it trains
        command = [sys.executable, asr_training.__file__, str(tmp_path), str(rename)]
        with subprocess.Popen(
            [*command, json.dumps(DROPOUT)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()  # training has begun
            if rename == 1000:
                time.sleep(chance.uniform(0.0, 0.05))
                process.kill()
            process.stdout.read()
        assert process.returncode == -signal.SIGKILL or rename == 1000
    trained(tmp_path, **DROPOUT)
    assert outcome(tmp_path) == uncut
    assert not (tmp_path / f".{artifacts.LAST}.tmp").exists()


def test_what_a_crash_left_of_the_other_files_does_not_matter(
    tmp_path: Path, uncut: tuple[Any, ...]
) -> None:
    trained(tmp_path, **DROPOUT)
    (tmp_path / f".{artifacts.LAST}.tmp").write_bytes(b"torn")
    (tmp_path / run_files.ROWS).write_text('{"step": 1}\n{"step": 1}\n{"st')
    (tmp_path / artifacts.BEST).unlink()
    trained(tmp_path, **DROPOUT)
    assert outcome(tmp_path) == uncut


def test_a_finished_run_trains_no_more(tmp_path: Path) -> None:
    first = trained(tmp_path)
    events: list[dict[str, Any]] = []
    again = trained(tmp_path, emit=events.append)
    assert events == []
    assert again.history == first.history


def test_the_draws_of_an_epoch_do_not_depend_on_what_came_before(tmp_path: Path) -> None:
    trained(tmp_path / "a")
    torch.manual_seed(12345)
    torch.rand(17)
    trained(tmp_path / "b")
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b")


def test_another_seed_gives_other_bits(tmp_path: Path) -> None:
    trained(tmp_path / "a", train__epochs=1)
    trained(tmp_path / "b", train__epochs=1, seed=8)
    assert outcome(tmp_path / "a")[1] != outcome(tmp_path / "b")[1]


def test_threads_are_saved(tmp_path: Path) -> None:
    saved = trained(tmp_path, train__epochs=1)
    assert saved.threads == CPU.threads
    loaded = state.load(tmp_path, state.about(letters(config())))
    assert loaded is not None
    assert loaded.threads == CPU.threads


@pytest.mark.parametrize(
    ("key", "value"),
    [("digests", {"data": "0" * 64}), ("digests", {"split": "0" * 64}), ("store", "whisper_50hz")],
    ids=["snapshot", "split", "layout"],
)
def test_a_state_of_other_data_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    trained(tmp_path, train__epochs=1)
    other = letters(config(train__epochs=1))
    if key == "store":
        object.__setattr__(other.store, "layout", value)
    else:
        other.digests.update(value)
    with pytest.raises(ThunderError, match=r"last.pt was made for something else: ") as caught:
        loop.train(other, tmp_path, CPU, Peers(), lambda event: None)
    assert caught.value.cause == "verification"
    with pytest.raises(ThunderError, match=r"best.pt was made for something else: "):
        state.load_best(tmp_path, other, 1)


def test_a_model_of_another_size_or_mode_is_refused_by_name(tmp_path: Path) -> None:
    trained(tmp_path, train__epochs=1)
    with pytest.raises(ThunderError, match=r"config: .*'mode': 'baseline'.*not.*'mode': 'tar'"):
        trained(tmp_path, train__epochs=1, mode="tar")


def test_the_best_model_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    saved = trained(tmp_path, train__epochs=1)
    model = state.load_best(tmp_path, letters(config(train__epochs=1)), 1)
    assert not model.training
    for name, one in model.state_dict().items():
        assert one.equal(saved.model[name]), name


def test_a_best_model_of_another_epoch_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, train__epochs=1)
    with pytest.raises(ThunderError, match="is of epoch 1, the best epoch is 2"):
        state.load_best(tmp_path, letters(config(train__epochs=1)), 2)


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_file_that_is_cut_is_refused(tmp_path: Path, size: int) -> None:
    trained(tmp_path, train__epochs=1)
    os.truncate(tmp_path / artifacts.LAST, size)
    with pytest.raises(
        ThunderError, match=r"last.pt: cannot be read: .*; run again with"
    ) as caught:
        trained(tmp_path)
    assert caught.value.cause == "verification"


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"about": Path("/")}, tmp_path / artifacts.LAST)
    with pytest.raises(ThunderError, match=r"last.pt: cannot be read"):
        trained(tmp_path)


def test_a_full_disk_is_a_write_error_and_leaves_the_last_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = trained(tmp_path, train__epochs=1)

    def full(*arguments: Any) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(ThunderError, match=r"last.pt: could not be written") as caught:
        state.save(tmp_path, before, {})
    assert caught.value.cause == "write"
    assert state.load(tmp_path, state.about(letters(config()))) is not None
