from pathlib import Path
from typing import Any

import pytest
import torch
from asr_evaluated import SUTA
from asr_training import as_trained, config, letters, silent  # noqa: F401

from thunder.backends.torch import machine
from thunder.backends.torch.peers import Peers
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import job
from thunder.lanes.asr.evaluation import evaluate
from thunder.lanes.asr.training import loop, state

WIDE = config()["model"]["size"] | {"width": 768}


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("changes", "threads"),
    [
        ({}, 8),
        ({"runtime__jobs": 2}, 4),
        ({"runtime__jobs": 2, "train__ranks": 2}, 2),
        ({"runtime__jobs": 99}, 1),
        ({"model__size": WIDE | {"width": 96}}, 1),
    ],
    ids=str,
)
def test_cores_are_shared_by_jobs_and_ranks(changes: dict[str, Any], threads: int) -> None:
    chosen = machine.choose(config(**{"model__size": WIDE, **changes}))
    assert chosen == machine.Machine(torch.device("cpu"), "float32", threads)


@pytest.mark.usefixtures("eight_cores")
def test_an_earlier_attempt_says_how_many_threads() -> None:
    assert machine.choose(config(model__size=WIDE), threads=3).threads == 3


@pytest.mark.parametrize(("precision", "found"), [("auto", "bfloat16"), ("float32", "float32")])
def test_a_gpu_computes_in_bfloat16_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, precision: str, found: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen = machine.choose(config(train__precision=precision, train__ranks=2), place=1)
    assert (chosen.device, chosen.precision) == (torch.device("cuda", 1), found)


def test_more_ranks_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ThunderError, match=r"train\.ranks is 2, .* has 1 GPUs") as error:
        machine.choose(config(train__ranks=2))
    assert error.value.cause == "environment"


def test_a_precision_is_one_of_two_words() -> None:
    with pytest.raises(ThunderError, match=r"'bfloat16 then float32'; float32 or bfloat16"):
        machine.Machine(torch.device("cpu"), "bfloat16 then float32", 1)


def test_a_cpu_refuses_what_it_cannot_repeat_bit_by_bit() -> None:
    assert torch.are_deterministic_algorithms_enabled()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["tar", "trajectory_ttt"])  # between them, every part of a model
def test_bfloat16_learns_and_hears_as_float32_does(tmp_path: Path, mode: str) -> None:
    # On a processor, where autocast runs the same code as on a GPU.
    material = letters(config(mode=mode, evaluate__suta=SUTA))
    scores = []
    for precision in ("float32", "bfloat16"):
        folder = tmp_path / precision
        folder.mkdir()
        chosen = machine.Machine(torch.device("cpu"), precision, 1)
        saved = loop.train(material, folder, chosen, Peers(), silent)
        assert not any(row["nonfinite"] for row in saved.history)
        model = state.load_best(folder, material, saved.standing.best_epoch)
        summary = job._summary(chosen, saved)
        metrics = evaluate.run(material, model, chosen, summary, folder, silent)
        scores.append([saved.standing.best_loss, metrics["test_cer_suta"]])
    assert scores[1] != scores[0]
    assert scores[1] == pytest.approx(scores[0], rel=0.05, abs=0.02)
