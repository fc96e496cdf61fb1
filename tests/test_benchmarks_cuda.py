"""The benchmark for a machine with a GPU, at its tiny size on a CPU."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from thunder.backends.torch.machine import Machine
from thunder.ground import files, schema
from thunder.jobs import job
from thunder.lanes.asr.training.augment import Masks
from thunder.lanes.asr.training.batches import Batch

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
SCRIPT = BENCHMARKS / "cuda.py"
NOT_NEEDED = ("hydra", "omegaconf", "jsonschema", "invoke", "mlx", "mlx_lm", "matplotlib")
DEADLINE_SECONDS = 500  # the script's own is 480


def _run(folder: Path, *words: str, without: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    """Run the script, without these packages in any of its processes, and without a GPU."""
    text = f"import sys\nsys.modules.update(dict.fromkeys({without!r}))\n"
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        env={**os.environ, "PYTHONPATH": str(folder), "CUDA_VISIBLE_DEVICES": ""},
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("cuda_speed")


def test_the_tiny_benchmark_measures_every_part_with_the_packages_that_it_names(
    tmp_path: Path,
) -> None:
    done = _run(tmp_path, "--tiny", without=NOT_NEEDED)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    parts = document["parts"]
    assert [*parts] == ["generate", "throughput", "largest", "encoder", "agreement", "resume"]
    assert {name: part["status"] for name, part in parts.items()} == dict.fromkeys(
        parts, "measured"
    )
    assert all(0 < part["seconds"] <= part["bound_seconds"] for part in parts.values())
    assert sum(part["seconds"] for part in parts.values()) <= document["seconds"]
    assert document["device"]["kind"] == "cpu"
    ways = parts["throughput"]["figures"]["ways"]
    assert all(way["epochs"] and way["peak_memory_gib"] is None for way in ways.values())
    _check_agreement(parts["agreement"]["figures"])
    _check_resumption(parts["resume"]["figures"])
    for name in parts:
        assert f"\n{name}  measured in " in done.stderr


def _check_agreement(figures: dict[str, dict[str, dict[str, float]]]) -> None:
    # The same processor in the same precision agrees to the bit; a shorter float is seen.
    assert figures["loss"]["float32"]["loss_apart"] == 0
    assert figures["loss"]["bfloat16"]["loss_apart"] > 0
    dumps = figures["dumps"]
    assert dumps["float32"]["rows"] == 56
    assert (dumps["float32"]["same_texts"], dumps["float32"]["row_apart"]) == (1, 0)
    assert dumps["bfloat16"]["row_apart"] > 0
    assert dumps["float32"]["cer"] < 0.6  # it writes something


def _check_resumption(figures: dict[str, object]) -> None:
    killed, epochs = figures["saved_epochs_when_killed"], figures["epochs"]
    assert isinstance(killed, int)
    assert isinstance(epochs, int)
    assert 1 <= killed < epochs
    assert figures["epochs_after_resuming"] == epochs - killed
    assert figures["weights_apart"] == 0
    assert figures["same_dump"]


def test_a_package_that_is_missing_is_named_with_the_command_that_brings_it(tmp_path: Path) -> None:
    done = _run(tmp_path, "--tiny", without=("datasets", "jsonschema_rs"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "cuda: not installed here: datasets, jsonschema-rs; python -m pip"
    )
    assert done.stderr.count("\n") == 1


def test_without_a_gpu_the_full_size_does_not_begin(tmp_path: Path) -> None:
    done = _run(tmp_path, without=())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("sees no GPU here; --tiny runs on a CPU\n")


@pytest.mark.parametrize("most", [1, 5, 777])
def test_the_largest_batch_is_found_to_a_sixteenth(benchmark: ModuleType, most: int) -> None:
    found = benchmark.largest(lambda rows: rows <= most, 4096, float("inf"))
    assert most - most // 16 <= found["rows"] <= most < found["refused"]
    assert found["ended"] == "found"


def test_a_search_that_was_cut_off_does_not_say_found(benchmark: ModuleType) -> None:
    def fits(rows: int) -> bool:
        if rows > 8:
            raise RuntimeError("invalid configuration argument\nmore")
        return True

    broken = benchmark.largest(fits, 4096, float("inf"))
    assert (broken["rows"], broken["ended"]) == (8, "invalid configuration argument")
    late = benchmark.largest(fits, 4096, float("-inf"))
    assert (late["rows"], late["ended"]) == (0, "no time was left")
    limited = benchmark.largest(fits, 4, float("inf"))
    assert (limited["rows"], limited["ended"]) == (4, "no more than 4 are tried")


def test_a_step_that_runs_out_of_memory_does_not_fit(benchmark: ModuleType) -> None:
    def advance(step: int, batch: Batch, masks: Masks, rows: int) -> None:
        assert len(batch.frames) == len(masks.frames) == rows
        if rows > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")

    ours = SimpleNamespace(
        learner=SimpleNamespace(advance=advance),
        material=SimpleNamespace(
            config={"train": benchmark.generated.settings(benchmark.generated.TINY)["train"]},
            store=SimpleNamespace(dims=8),
        ),
        machine=Machine(torch.device("cpu"), "float32", 1),
    )
    found = benchmark.largest(benchmark._fits(ours, 1.0, {}), 4096, float("inf"))
    assert (found["rows"], found["refused"], found["ended"]) == (5, 6, "found")


def test_what_a_part_leaves_out_is_named_and_never_measured(
    tmp_path: Path, benchmark: ModuleType
) -> None:
    cuda = importlib.import_module("cuda")
    failed = {"generate": {"status": "failed"}}
    after = cuda._part("resume", tmp_path, True, failed, float("inf"))
    assert (after["status"], after["figures"]) == ("skipped", None)
    late = cuda._part("generate", tmp_path, True, {}, float("-inf"))
    assert (late["status"], late["reason"]) == ("skipped", "no time was left of 480 s")


def test_the_run_folder_is_of_a_config_that_thunder_takes(
    tmp_path: Path, benchmark: ModuleType
) -> None:
    place = benchmark.generated.Place(tmp_path, benchmark.generated.TINY)
    benchmark.generated.generate(place, 0.0)
    settings = benchmark.generated.config(place)
    needs = settings.pop("needs")
    schema.check("asr", settings, "the generated config")
    settings = {**settings, "needs": needs}
    folder = benchmark.generated.run_folder(tmp_path / "outputs", settings)
    assert files.read_json(folder / "config.json") == job.document(settings)
    assert folder.name == job.id_of(job.document(settings))
