"""The main job as a person runs it: real processes, real training, on the stand-in model."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from adapter_fixtures import is_alive, wait_for
from shared import once, with_stand_ins

from thunder.commands import views
from thunder.ground import digest, files, schema
from thunder.lanes.adapter.kind import KINDS
from thunder.runs.run import Run

pytestmark = pytest.mark.slow

# With dropout the bytes also depend on the random numbers that a rerun goes on with.
MAIN = ("+profile=partial_real_stage1_stable", "window=10", "adapter.dropout=0.05")
SECONDS = 120
# The names that users know; a new artifact is added here on purpose.
ARTIFACTS = {
    "adapter_config.json",
    "adapters.safetensors",
    "checkpoint.json",
    "checkpoints/step-0000010/adapter_config.json",
    "checkpoints/step-0000010/adapters.safetensors",
    "checkpoints/step-0000010/checkpoint.json",
    "checkpoints/step-0000010/optimizer.safetensors",
    "checkpoints/step-0000010/rng.safetensors",
    "config.json",
    "manifest.json",
    "metrics.json",
    "metrics.jsonl",
    "report.json",
    "report.md",
    "run.json",
    "run.log",
}
GENERATE = """
import sys
from thunder.backends.mlx import lean
lean.without_torch()
from mlx_lm import generate, load
model, tokenizer = load(sys.argv[1], adapter_path=sys.argv[2])
names = [name for name, _ in __import__("mlx.utils").utils.tree_flatten(model.parameters())]
assert any(name.endswith("lora_b") for name in names)
print(repr(generate(model, tokenizer, prompt="ߒ ߓߍ߬", max_tokens=4)))
"""


def thunder(*words: str, outputs: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "thunder", *words, f"outputs='{outputs}'"]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def copy_of(outputs: Path, name: str, target: Path) -> Path:
    """Copy a stand-in that was built, as a folder of one's own."""
    return Path(shutil.copytree(next((outputs / "cache").glob(f"{name}-*")), target))


def only_run(outputs: Path) -> Path:
    (folder,) = (outputs / "adapter").iterdir()
    return folder


def tensors(run: Path, step: int) -> dict[str, str]:
    folder = run / "checkpoints" / f"step-{step:07d}"
    return {path.name: digest.of_file(path) for path in sorted(folder.glob("*.safetensors"))}


def start(*words: str, outputs: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "thunder", *words, f"outputs='{outputs}'"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for_line(runner: "subprocess.Popen[str]", beginning: str) -> None:
    """Read what a runner prints up to a line; what follows is still under way."""
    for line in runner.stdout or ():
        if line.startswith(beginning):
            return
    raise AssertionError(f"the runner ended without {beginning!r}")


def tree(root: int) -> list[int]:
    """Return the ids of a process and of all that it started; ranks carry no path of the run."""
    return [root, *(child.pid for child in psutil.Process(root).children(recursive=True))]


def are_gone(pids: list[int]) -> bool:
    """Return whether no process of a tree outlives its runner by more than moments."""
    return wait_for(lambda: not any(map(is_alive, pids)), 5.0)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The outputs of the main job, to be looked at alone, and what it printed."""

    def run(folder: Path) -> None:
        outputs = with_stand_ins(tmp_path_factory, folder / "outputs")
        result = thunder(*MAIN, outputs=outputs)
        assert result.returncode == 0, result.stdout + result.stderr
        (folder / "printed").write_text(result.stdout, encoding="utf-8")

    folder = once(tmp_path_factory, "main job", run)
    return folder / "outputs", (folder / "printed").read_text(encoding="utf-8")


@pytest.fixture
def outputs(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of one's own, with the stand-ins built already."""
    return with_stand_ins(tmp_path_factory, tmp_path / "outputs")


@pytest.fixture
def walked(done: tuple[Path, str], tmp_path: Path) -> Path:
    """Outputs of one's own, in which the main job is at step 10."""
    return Path(shutil.copytree(done[0], tmp_path / "walked"))


def test_the_screen_shows_plan_preflight_progress_verification_and_report_in_this_order(
    done: tuple[Path, str],
) -> None:
    outputs, text = done
    folder = only_run(outputs)
    marks = [
        f"adapter {folder.name}  {folder}  step 0 → 10 of 80",
        "preflight",
        "ring smoke",
        "step 1/10",
        "step 10/10",
        "verification of step 10",
        "validation loss comes back",
        str(folder / "report.md"),
    ]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
    assert "\x1b" not in text
    assert "[stand-in]" in text


def test_the_run_folder_has_exactly_these_files(done: tuple[Path, str]) -> None:
    names = set(digest.visible_files(only_run(done[0])))
    assert {name for name in names if not name.startswith("uncommitted-")} == ARTIFACTS


def test_the_report_answers_what_a_hand_over_asks(done: tuple[Path, str]) -> None:
    folder = only_run(done[0])
    report = files.read_json(folder / "report.json")
    assert report["step"] == 10
    assert report["checkpoint_reached"] is True
    assert report["run_folder"] == str(folder)
    assert report["command"].startswith("python -m thunder +profile=partial_real_stage1_stable")
    assert {row["status"] for row in report["data_set"]["checks"]} == {"PASS"}
    assert any(row["check"] == "model complete" for row in report["model_cache"]["checks"])
    assert "70 of 80 steps are left" in report["remaining_limits"]
    assert any("stand-in" in limit for limit in report["remaining_limits"])
    text = (folder / "report.md").read_text(encoding="utf-8")
    for part in ("Data set", "Model cache", "Exact command", "reached step 10", str(folder)):
        assert part in text


def test_the_stand_in_learns_at_least_five_percent(done: tuple[Path, str]) -> None:
    assert files.read_json(only_run(done[0]) / "metrics.json")["valid_loss_drop"] >= 0.05


def test_every_file_that_leaves_the_house_keeps_its_schema(done: tuple[Path, str]) -> None:
    folder = only_run(done[0])
    for name in ("run", "manifest", "metrics", "report", "checkpoint"):
        schema.check(name, files.read_json(folder / f"{name}.json"), name)
    rows = list(files.read_jsonl(folder / "metrics.jsonl"))
    for row in rows:
        schema.check("metrics_row", row, "metrics.jsonl")
    assert [row["step"] for row in rows if "loss" in row] == list(range(1, 11))


def test_the_numbers_that_the_kind_declares_are_those_that_a_run_writes(
    done: tuple[Path, str],
) -> None:
    folder = only_run(done[0])
    rows = files.read_jsonl(folder / "metrics.jsonl")
    written = {*files.read_json(folder / "metrics.json"), *(name for row in rows for name in row)}
    assert written - {"step"} == {*KINDS["adapter"].metrics}


def test_the_run_records_where_it_came_from(done: tuple[Path, str]) -> None:
    record = files.read_json(only_run(done[0]) / "run.json")
    attempt = record["attempts"][-1]
    assert record["stand_in"] is True
    assert set(record["inputs"]) == {"model", "data"}
    assert attempt["provenance"]["versions"]["mlx"]
    assert attempt["provenance"]["command"][:3] == ["python", "-m", "thunder"]
    assert attempt["backend"]["blas"]["name"]


def test_the_run_folder_loads_in_mlx_lm_and_generates(done: tuple[Path, str]) -> None:
    outputs, _ = done
    model = next((outputs / "cache").glob("model-*"))
    result = subprocess.run(
        [sys.executable, "-c", GENERATE, str(model), str(only_run(outputs))],
        capture_output=True, text=True, timeout=SECONDS, check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "MLX_DISABLE_COMPILE": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_a_rerun_says_that_step_10_is_reached_and_trains_nothing(walked: Path) -> None:
    folder = only_run(walked)
    before = {name: (folder / name).stat().st_mtime_ns for name in ARTIFACTS}
    result = thunder(*MAIN, outputs=walked)
    assert result.returncode == 0
    assert "step 10 of 80 is reached; nothing was run; to go on: target=20" in result.stdout
    assert {name: (folder / name).stat().st_mtime_ns for name in ARTIFACTS} == before


def test_kill_of_the_runner_at_any_stage_then_a_rerun_gives_the_same_bytes(
    done: tuple[Path, str], outputs: Path
) -> None:
    stages = ("preflight", "train   step 4/10", "note    saved step 9", "verification of step 10")
    for stage in stages:
        with start(*MAIN, "save_every=3", outputs=outputs) as runner:
            wait_for_line(runner, stage)
            pids = tree(runner.pid)
            runner.kill()
        assert len(pids) > 1, stage
        assert are_gone(pids), stage
    result = thunder(*MAIN, "save_every=3", outputs=outputs)
    assert result.returncode == 0, result.stdout + result.stderr
    assert only_run(outputs).name == only_run(done[0]).name
    assert tensors(only_run(outputs), 10) == tensors(only_run(done[0]), 10)


def test_a_walk_goes_on_window_by_window_and_a_killed_runner_forgets_none(walked: Path) -> None:
    with start(*MAIN, "target=80", outputs=walked) as runner:
        for step in (20, 30):
            wait_for_line(runner, f"verification of step {step}")
            wait_for_line(runner, f"saved   step {step}")
        wait_for_line(runner, "train   step 32/40")
        pids = tree(runner.pid)
        runner.kill()
    assert are_gone(pids)
    record = files.read_json(only_run(walked) / "run.json")
    assert (record["status"], record["step"]) == ("running", 30)
    assert files.read_json(only_run(walked) / "checkpoint.json")["step"] == 30
    result = thunder(*MAIN, outputs=walked)
    assert result.returncode == 0
    told = "step 10 of 80 is reached; the run is at step 30; nothing was run; to go on: target=40"
    assert told in result.stdout


def test_sigterm_stops_all_processes_and_the_run_goes_on_from_what_was_saved(walked: Path) -> None:
    words = [*MAIN, "target=20", "save_every=2"]
    with start(*words, outputs=walked) as runner:
        wait_for_line(runner, "note    saved step 12")
        pids = tree(runner.pid)
        runner.send_signal(signal.SIGTERM)
        told = runner.stdout.read() if runner.stdout else ""
        assert runner.wait(timeout=SECONDS) == 130
    # The runner, its child and two ranks at least.
    assert len(pids) >= 4
    assert are_gone(pids)
    record = files.read_json(only_run(walked) / "run.json")
    saved = record["saved"]
    assert (record["status"], record["step"], saved >= 12) == ("paused", 10, True)
    assert f"run the same command again to go on from step {saved}" in told
    assert f"step {saved} → 20 of " in thunder(*words, "dry_run=true", outputs=walked).stdout
    status = views.run_json(Run(only_run(walked)))
    assert status["steps"].endswith(f", saved {saved}")
    again = thunder(*words, outputs=walked)
    assert f"train   step {saved + 1}/20" in again.stdout
    record = files.read_json(only_run(walked) / "run.json")
    assert (record["step"], record["attempts"][-1]["from_step"]) == (20, saved)
    assert "saved" not in record


def test_broken_rows_stop_before_training_and_are_named_by_file_and_line(
    outputs: Path, tmp_path: Path
) -> None:
    data = copy_of(outputs, "corpus", tmp_path / "corpus")
    rows = (data / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows[2], rows[7] = '{"text": "no messages"}', '{"messages": ['
    (data / "train.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (data / "manifest.json").write_text("{}", encoding="utf-8")
    result = thunder(*MAIN, "data=folder", f"data.source.folder='{data}'", outputs=outputs)
    assert result.returncode == 1
    assert "cause   data" in result.stdout
    assert re.search(r"train\.jsonl.*(:|line )3\b", result.stdout)
    assert re.search(r"train\.jsonl.*(:|line )8\b|(:|line )8\b", result.stdout)
    assert "Traceback" not in result.stdout + result.stderr
    assert "train   step" not in result.stdout


def test_a_truncated_model_stops_before_training_with_the_cause_model(
    outputs: Path, tmp_path: Path
) -> None:
    model = copy_of(outputs, "model", tmp_path / "model")
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 10])
    words = ("model=folder", f"model.source.folder='{model}'", "data.source.rows=640")
    result = thunder(*MAIN, *words, outputs=outputs)
    assert result.returncode == 1
    assert "cause   model" in result.stdout
    assert "model.safetensors" in result.stdout
    assert "train   step" not in result.stdout


def test_a_changed_byte_in_a_built_corpus_is_found(outputs: Path) -> None:
    path = next((outputs / "cache").glob("corpus-*")) / "valid.jsonl"
    path.write_bytes(path.read_bytes().replace(b"stable", b"stabel", 1))
    result = thunder(*MAIN, outputs=outputs)
    assert result.returncode == 1
    assert "cause   data" in result.stdout
    assert "valid.jsonl" in result.stdout


def test_rows_longer_than_the_window_are_refused_when_the_rule_says_so(outputs: Path) -> None:
    result = thunder(*MAIN, "train.sequence_length=48", "data.too_long=refuse", outputs=outputs)
    assert result.returncode == 1
    assert "longer than sequence_length 48" in result.stdout


def test_the_tensor_strategy_says_what_is_split_and_what_each_rank_took(outputs: Path) -> None:
    words = ("train.strategy=tensor", "train.steps=2", "train.valid_rows=4")
    result = thunder("+profile=smoke", *words, outputs=outputs)
    assert result.returncode == 0, result.stdout + result.stderr
    run = only_run(outputs)
    document = files.read_json(run / "report.json")
    (row,) = (r for r in document["model_cache"]["checks"] if r["check"] == "split over the ranks")
    assert row["status"] == "PASS"
    assert re.fullmatch(r"[\d.]+ MB over 2 ranks, [\d.]+ MB on each", row["measured"])
    peaks = document["peak_memory_bytes"]
    assert len(peaks) == 2
    assert document["metrics"]["peak_memory_bytes"] == max(peaks)
    text = (run / "report.md").read_text(encoding="utf-8")
    assert re.search(r"Peak memory of arrays .*: [\d.]+ MB on rank 0, [\d.]+ MB on rank 1", text)


def test_a_model_that_cannot_be_split_is_refused_by_its_type_before_it_is_trained(
    outputs: Path, tmp_path: Path
) -> None:
    folder = copy_of(outputs, "model", tmp_path / "model")
    config = files.read_json(folder / "config.json")
    files.write_json(folder / "config.json", config | {"model_type": "mamba2"})
    words = ("model=folder", f"model.source.folder={folder}", "train.strategy=tensor")
    result = thunder("+profile=smoke", *words, outputs=tmp_path / "outputs")
    assert result.returncode == 1
    assert "cannot split a model of type 'mamba2', only gemma4, gemma4_text" in result.stdout
    assert not list((tmp_path / "outputs").rglob("checkpoints"))


def test_without_any_programs_and_torch_it_trains_with_a_check_every_two_steps_and_answers(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    files.write_text(tmp_path / "own" / "torch.py", "raise SystemExit('torch is imported')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "own"))
    planned = thunder("+profile=smoke", "dry_run=true", outputs=outputs)
    assert (planned.returncode, planned.stderr) == (0, "")
    result = thunder("+profile=smoke", outputs=outputs)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "PASS     localhost  ring smoke" in result.stdout
    rows = files.read_jsonl(only_run(outputs) / "metrics.jsonl")
    assert [row["step"] for row in rows if "valid_tokens" in row] == [0, 2, 4]
    (attempt,) = files.read_json(only_run(outputs) / "run.json")["attempts"]
    assert "git" in attempt["provenance"]["reason"]
    command = "from thunder.commands.tasks import main; import sys; sys.exit(main(sys.argv[1:]))"
    status = subprocess.run(
        [sys.executable, "-c", command, "status", "--outputs", str(outputs)],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert (status.returncode, status.stderr) == (0, "")
    assert "done" in status.stdout


def test_tokens_beyond_the_embedding_stop_before_training(outputs: Path, tmp_path: Path) -> None:
    model = copy_of(outputs, "model", tmp_path / "model")
    template = model / "chat_template.jinja"
    template.write_text("<extra>" + template.read_text(encoding="utf-8"), encoding="utf-8")
    tokenizer = files.read_json(model / "tokenizer.json")
    size = len(tokenizer["model"]["vocab"])
    tokenizer["added_tokens"].append(
        {**tokenizer["added_tokens"][0], "id": size, "content": "<extra>"}
    )
    files.write_json(model / "tokenizer.json", tokenizer)
    words = ("model=folder", f"model.source.folder='{model}'")
    result = thunder("+profile=smoke", *words, outputs=outputs)
    assert result.returncode == 1
    assert "cause   model" in result.stdout
    assert f"train.jsonl:1: token '<extra>' has the id {size}" in result.stdout
    assert "train   step" not in result.stdout


def test_turns_that_never_end_are_told_and_files_that_nobody_reads_bar_nothing(
    outputs: Path, tmp_path: Path
) -> None:
    data = copy_of(outputs, "corpus", tmp_path / "corpus")
    model = copy_of(outputs, "model", tmp_path / "model")
    for name in ("README.md", "LICENSE", ".DS_Store", "adapters.safetensors"):
        (data / name).write_text("words")
        (model / name).write_text("words")
    template = model / "chat_template.jinja"
    template.write_text(
        template.read_text(encoding="utf-8").replace("<turn|>\\n", "\\n"), encoding="utf-8"
    )
    words = (f"data.source.folder='{data}'", f"model.source.folder='{model}'")
    result = thunder("+profile=smoke", "data=folder", "model=folder", *words, outputs=outputs)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "warning no end is learnt in 520 of 520 train rows" in result.stdout
    limits = files.read_json(only_run(outputs) / "report.json")["remaining_limits"]
    assert any(limit.startswith("no end is learnt in 520 of 520 train rows") for limit in limits)
