# ruff: noqa: F811  (an imported fixture and the argument it fills)
"""The lane function from pairs to results, cut and gone on with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from asr_training import Speech, as_trained, silent, speech  # noqa: F401

from thunder.backends.torch import machine
from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import artifacts, job
from thunder.lanes.asr.evaluation import evaluate
from thunder.lanes.asr.kind import KINDS
from thunder.lanes.asr.training import loop, state

pytestmark = pytest.mark.slow

TRAINED = {"train__epochs": 2, "train__batch_size": 4}
ARTIFACTS = {
    "results.json", "train.log", "split.json", "vocab.json", "best.pt", "last.pt", "metrics.jsonl",
    "test_predictions.jsonl", "test_references.jsonl", "test_metrics_by_partition.json",
    "valid_predictions.jsonl", "valid_references.jsonl", "valid_metrics_by_partition.json",
    "partition_policy.json", "row_faults.jsonl",
}  # fmt: skip


def test_a_run_leaves_its_artifacts_and_returns_their_numbers(
    speech: Speech, tmp_path: Path
) -> None:
    events: list[dict[str, Any]] = []
    result = job.run(speech.config(**TRAINED), tmp_path, events.append)
    (ran_on,) = [event["backend"] for event in events if event["event"] == "backend"]
    assert ran_on["torch"] == torch.__version__
    assert (ran_on["device"], ran_on["precision"]) == ("cpu", "float32")
    assert {path.name for path in tmp_path.iterdir()} == ARTIFACTS  # run.log is the runner's
    assert result["step"] is None
    assert set(result["inputs"]) == {"data", "split", "features"}
    results = files.read_json(tmp_path / "results.json")
    assert result["metrics"]["test_cer_micro"] == results["test_cer"]
    assert results["epochs_trained"] == 2
    assert results["stopped_because"] == loop.EPOCHS
    assert results["nan_batches"] == 0
    rows = files.read_jsonl(tmp_path / "metrics.jsonl")
    written = {*result["metrics"], *(name for row in rows for name in row)}
    not_of_each_mode = {f"test_cer{suffix}" for suffix in artifacts.PASSES.values()}
    assert written - {"step"} | not_of_each_mode == {*KINDS["asr"].metrics}


def test_a_run_cut_in_its_evaluation_goes_on_there(
    speech: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "run", cut)
        with pytest.raises(KeyboardInterrupt):
            job.run(speech.config(**TRAINED), tmp_path, silent)
    trained = (tmp_path / artifacts.LAST).stat().st_mtime_ns
    events: list[dict[str, Any]] = []
    job.run(speech.config(**TRAINED), tmp_path, events.append)
    assert (tmp_path / artifacts.LAST).stat().st_mtime_ns == trained
    assert not [event for event in events if event["event"] == "valid"]
    assert (tmp_path / "results.json").exists()


def test_a_model_that_was_exchanged_is_not_evaluated(speech: Speech, tmp_path: Path) -> None:
    job.run(speech.config(**TRAINED), tmp_path, silent)
    best = torch.load(tmp_path / artifacts.BEST, weights_only=True)
    torch.save({**best, "about": best["about"] | {"vocab_sha256": "0" * 64}}, tmp_path / "other")
    saved = state.load(tmp_path, best["about"])
    assert saved is not None
    # A state whose best epoch is an earlier one does not write best.pt anew.
    object.__setattr__(saved.standing, "best_epoch", 1)
    state.save(tmp_path, saved, best["about"])
    (tmp_path / "other").replace(tmp_path / artifacts.BEST)
    with pytest.raises(ThunderError, match=r"best.pt was made for something else: vocab_sha256"):
        job.run(speech.config(**TRAINED), tmp_path, silent)


def test_too_little_memory_is_said_with_a_way_out() -> None:
    with (
        pytest.raises(ThunderError, match=r"out of memory: .*; lower train.batch_size") as caught,
        machine.memory(),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.\nmore")
    assert caught.value.cause == "environment"


def test_a_run_that_goes_on_in_another_precision_says_so(
    speech: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, choose = state.save, machine.choose

    def cut_after_the_first(*arguments: Any) -> None:
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(state, "save", cut_after_the_first)
        with pytest.raises(KeyboardInterrupt):
            job.run(speech.config(**TRAINED), tmp_path, silent)

    def in_half(*arguments: Any, **words: Any) -> machine.Machine:
        return replace(choose(*arguments, **words), precision="bfloat16")

    monkeypatch.setattr(machine, "choose", in_half)
    events: list[dict[str, Any]] = []
    job.run(speech.config(**TRAINED), tmp_path, events.append)
    texts = [event["text"] for event in events if event["event"] == "warning"]
    assert "begun in float32, goes on in bfloat16: other bits" in texts
    results = files.read_json(tmp_path / "results.json")
    assert results["precision"] == "float32 then bfloat16"
    assert results["evaluation_precision"] == "bfloat16"
