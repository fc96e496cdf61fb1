"""Every check of the preflight can fail, and a failed one names the class of its cause."""

import importlib.metadata
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thunder.corpora import corpus
from thunder.ground import digest, files
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.adapter import machine, preflight
from thunder.lanes.adapter.context import Context
from thunder.lanes.adapter.data import tokens
from thunder.lanes.adapter.inputs import Inputs
from thunder.lanes.adapter.training import ranks
from thunder.training import checkpoints
from thunder.training.placement import Slot
from thunder.training.preflight import Checks

BLAS = {"name": "a blas", "version": "1.0"}
ALIKE = "0" * 64
GIGABYTE = 10**9

Check = Callable[..., Checks]


def write_data(folder: Path, answers: int, rows: int) -> Path:
    for split in corpus.SPLITS:
        files.write_jsonl(folder / f"{split}.jsonl", [_row(n % answers) for n in range(rows)])
    files.write_json(folder / "manifest.json", {})
    return folder


def _row(answer: int) -> dict[str, Any]:
    question = {"role": "user", "content": "x"}
    return {"messages": [question, {"role": "assistant", "content": f"y{answer}"}]}


def write_model(folder: Path) -> Path:
    """Write what a complete model is made of; nobody computes with it."""
    files.write_json(
        folder / "config.json", {"text_config": {"num_hidden_layers": 4, "vocab_size": 8}}
    )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        files.write_json(folder / name, {})
    files.write_bytes(folder / "model.safetensors", (2).to_bytes(8, "little") + b"{}")
    return folder


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Run the whole preflight on a good machine, with sound inputs and a sound ring of two."""
    data = write_data(tmp_path / "data", answers=8, rows=8)
    model = write_model(tmp_path / "model")
    run = tmp_path / "run"
    run.mkdir()
    count = {"rows": 8, "dropped_too_long": 0, "without_end": 0}
    counts = {split: count for split in ("train", "valid")}
    monkeypatch.setattr(tokens, "prepare", lambda *_: counts)
    monkeypatch.setattr(machine, "free_memory", lambda: 100 * GIGABYTE)
    sums(monkeypatch, 3.0)

    def check(**changes: Any) -> Checks:
        train = {"strategy": changes.get("strategy", "data"), "ranks": 2, "rank_weights": [1, 1]}
        train |= {"batch_size": 4, "sequence_length": 64}
        source = {"folder": str(data)}
        if "digest" in changes:
            source["digest"] = changes["digest"]
        outputs = {"outputs": str(tmp_path), "deep": changes.get("deep", False)}
        config = {
            "model": {"name": "tiny", "source": {"folder": str(model)}},
            "data": {"source": source, "too_long": "drop"},
            "adapter": {"layers": changes.get("layers", 2)},
            "train": train | {"ranks": changes.get("ranks", 2)},
            "runtime": {"site": {"ranks_on": [{"name": "here"}]}, **outputs},
        }
        context = Context(config, run, Inputs(model, data, ()), tmp_path / "tokens")
        checks = Checks(context.host, changes.get("beat", lambda: None))
        preflight.run(context, checks, BLAS)
        preflight.meet(context, checks, [Slot()] * config["train"]["ranks"])
        return checks

    return check


def sums(monkeypatch: pytest.MonkeyPatch, total: float) -> None:
    """Let every rank of a ring report a sum; 1 + 2 is the right one."""
    result = {"size": 2, "sum": total, "latency_ms": 0.1}
    monkeypatch.setattr(ranks, "_supervise", lambda orders, *_: [result for _ in orders])


def by_status(checks: Checks) -> dict[str, list[str]]:
    statuses: dict[str, list[str]] = {"PASS": [], "FAIL": [], "SKIPPED": []}
    for row in checks.rows:
        statuses[row["status"]].append(row["check"])
    return statuses


def reasons(checks: Checks) -> dict[str, str]:
    return {row["check"]: row["reason"] for row in checks.rows}


def assert_refused(checks: Checks, name: str, cause: str, reason: str) -> None:
    """Assert that one check alone failed, and that it is refused with its cause."""
    assert by_status(checks)["FAIL"] == [name]
    assert checks.causes == [cause]
    with pytest.raises(Faults, match="nothing was trained") as caught:
        preflight.refuse(checks)
    assert caught.value.cause == cause
    (fault,) = caught.value.faults
    assert fault.startswith(f"{name} (here): ")
    assert reason in fault


def test_sound_inputs_on_a_good_machine_are_not_refused(check: Check) -> None:
    checks = check()
    preflight.refuse(checks)
    statuses = by_status(checks)
    assert statuses["FAIL"] == checks.causes == []
    assert statuses["SKIPPED"] == [
        "model bytes re-hashed",
        "hosts reach each other",
        "earlier checkpoint",
    ]
    assert len(statuses["PASS"]) == len(checks.rows) - 3


def test_each_check_says_that_the_lane_is_at_work(check: Check) -> None:
    beats: list[int] = []
    checks = check(beat=lambda: beats.append(1))
    assert len(beats) == len(checks.rows)


@pytest.mark.parametrize(
    ("package", "version", "is_old"),
    [
        ("mlx", "0.32.0", True),
        ("mlx", "0.32.1", False),
        ("mlx", "0.9.9", True),
        ("mlx", "1.0", False),
        ("mlx-lm", "0.31.9", True),
        ("mlx-lm", "0.32.0", False),
    ],
)
def test_a_version_is_too_old_below_the_bound_only(
    check: Check, monkeypatch: pytest.MonkeyPatch, package: str, version: str, is_old: bool
) -> None:
    have = {"mlx": "0.33.0", "mlx-lm": "0.33.0", package: version}
    # A library that is imported meanwhile asks for its own.
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: have.get(name) or real(name))
    checks = check()
    if is_old:
        assert_refused(checks, "versions", "environment", f"{package} {version} is older than")
    else:
        assert checks.passed("versions")


def test_another_python_on_a_host_is_no_fault_and_another_library_is() -> None:
    assert "python" not in machine.alike()
    checks = Checks("mac4")
    machine.versions(checks, machine.alike())
    machine.versions(checks, {**machine.alike(), "mlx": "99"})
    assert [row["status"] for row in checks.rows] == ["PASS", "FAIL"]
    assert "where the run is started 99: make them alike" in checks.rows[1]["reason"]


def test_too_little_free_disk_is_refused(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=machine.FREE_BYTES - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    assert_refused(check(), "free disk", "environment", "make room")
    enough = usage._replace(free=machine.FREE_BYTES)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: enough)
    assert check().passed("free disk")


def test_memory_is_needed_for_every_rank(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: 500 << 20)
    assert_refused(check(), "free memory", "environment", "not enough memory for the ranks")
    assert check(ranks=1).passed("free memory")


@pytest.mark.parametrize(
    ("answers", "rows", "reason"),
    [(1, 8, "8 rows with 1 different answers"), (7, 7, "at least 8 rows (one step)")],
)
def test_a_trivial_data_set_is_refused_and_not_tokenised(
    check: Check, tmp_path: Path, answers: int, rows: int, reason: str
) -> None:
    write_data(tmp_path / "data", answers, rows)
    checks = check()
    assert_refused(checks, "data set nontrivial", "data", reason)
    assert reasons(checks)["rows fit the window"] == "needs: data set nontrivial"


def test_two_answers_in_the_rows_of_one_step_are_enough(check: Check, tmp_path: Path) -> None:
    write_data(tmp_path / "data", answers=2, rows=8)
    assert check().passed("data set nontrivial")


def test_data_that_changed_since_the_job_was_named_are_refused(
    check: Check, tmp_path: Path
) -> None:
    checks = check(digest=ALIKE)
    reason = f"the job has {ALIKE[:12]}"
    assert_refused(checks, "data set rows and digests", "data", reason)
    assert not checks.passed("data set nontrivial")
    assert check(digest=corpus.digest(tmp_path / "data")).passed("data set rows and digests")


def test_a_missing_split_is_the_cause_and_what_needs_it_is_skipped(
    check: Check, tmp_path: Path
) -> None:
    (tmp_path / "data" / "valid.jsonl").unlink()
    checks = check()
    assert_refused(checks, "data set present", "data", "missing valid.jsonl")
    assert reasons(checks)["data set rows and digests"] == "needs: data set present"
    assert reasons(checks)["data set nontrivial"] == "needs: data set rows and digests"
    assert reasons(checks)["rows fit the window"] == "needs: data set nontrivial"


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "model.safetensors"])
def test_an_incomplete_model_is_the_cause_and_what_needs_it_is_skipped(
    check: Check, tmp_path: Path, name: str
) -> None:
    (tmp_path / "model" / name).unlink()
    checks = check()
    missing = "model*.safetensors" if name == "model.safetensors" else name
    assert_refused(checks, "model complete", "model", f"{missing}: missing")
    for dependent in ("LoRA fits the model", "rows fit the window"):
        assert reasons(checks)[dependent] == "needs: model complete"
        assert dependent in by_status(checks)["SKIPPED"]


def test_a_model_that_does_not_say_how_many_ids_it_has_is_not_called_checked(
    check: Check, tmp_path: Path
) -> None:
    assert check().passed("token ids of the model")
    files.write_json(tmp_path / "model" / "config.json", {})
    assert "neither its weights" in reasons(check())["token ids of the model"]


def test_turns_that_never_end_are_told_and_stop_nothing(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = {"rows": 8, "dropped_too_long": 0, "without_end": 3}
    monkeypatch.setattr(tokens, "prepare", lambda *_: {"train": count})
    checks = check()
    assert checks.passed("rows fit the window")
    (row,) = (row for row in checks.rows if row["check"] == "rows fit the window")
    assert "no end is learnt in 3 of 8 train rows" in row["measured"]


@pytest.mark.parametrize("name", ["README.md", ".DS_Store"])
def test_a_file_that_is_not_read_bars_no_corpus(check: Check, tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    named = digest.of_folder(data)
    (data / name).write_text("words")
    assert check(digest=named).passed("data set rows and digests")


def test_lora_deeper_than_the_model_is_refused(check: Check) -> None:
    reason = "adapter.layers is 5, tiny has 4"
    assert_refused(check(layers=5), "LoRA fits the model", "user", reason)
    assert check(layers=4).passed("LoRA fits the model")


def write_table(model: Path, model_type: str, rows: int = 4) -> None:
    """Give a model a type, and a table of some rows and 40 MB."""
    config = files.read_json(model / "config.json")
    files.write_json(model / "config.json", config | {"model_type": model_type})
    table = {"dtype": "F32", "shape": [rows, 10_000_000 // rows], "data_offsets": [0, 40_000_000]}
    header = json.dumps({"model.embed_tokens.weight": table}).encode()
    with (model / "model.safetensors").open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(8 + len(header) + 40_000_000)


def test_a_split_model_is_measured_and_needs_less_memory(check: Check, tmp_path: Path) -> None:
    write_table(tmp_path / "model", "llama")
    whole, split = check(), check(strategy="tensor")
    assert split.passed("split over the ranks")
    measured = {row["check"]: row["measured"] for row in split.rows}
    assert measured["split over the ranks"] == "40.0 MB over 2 ranks, 0.0 MB on each"
    # Two ranks, each with a fifth more than its weights and 300 MiB.
    assert "about 677.1 MB needed" in measured["free memory"]
    assert any("about 725.1 MB needed" in row["measured"] for row in whole.rows)
    assert "split over the ranks" not in reasons(whole)


def test_a_model_that_cannot_be_split_is_refused_with_its_type_or_its_numbers(
    check: Check, tmp_path: Path
) -> None:
    write_table(tmp_path / "model", "mamba2")
    reason = "cannot split a model of type 'mamba2', only gemma4, "
    assert_refused(check(strategy="tensor"), "split over the ranks", "user", reason)
    write_table(tmp_path / "model", "llama", rows=1)
    reason = "model.embed_tokens has 1 rows, too few for 2 ranks; use fewer"
    assert_refused(check(strategy="tensor"), "split over the ranks", "user", reason)


def test_rows_that_the_rule_refuses_keep_the_cause_of_their_error(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(*_: Any) -> None:
        raise ThunderError("line 3 is longer than sequence_length 64", "data")

    monkeypatch.setattr(tokens, "prepare", prepare)
    assert_refused(check(), "rows fit the window", "data", "line 3 is longer")


@pytest.mark.parametrize("total", [1.0, 2.0, 6.0])
def test_a_ring_with_a_wrong_sum_is_refused(
    check: Check, monkeypatch: pytest.MonkeyPatch, total: float
) -> None:
    sums(monkeypatch, total)
    assert_refused(check(), "ring smoke", "ranks", f"'sum': {total}")


def test_a_ring_that_never_forms_is_refused(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    def smoke(*_: Any, **__: Any) -> None:
        raise ThunderError("rank 1 (pid 1) was killed by SIGKILL", "ranks")

    monkeypatch.setattr(ranks, "ring_smoke", smoke)
    assert_refused(check(), "ring smoke", "ranks", "SIGKILL")


def test_a_single_rank_makes_no_ring_and_claims_none(check: Check) -> None:
    checks = check(ranks=1)
    assert "ring smoke" in by_status(checks)["SKIPPED"]
    assert not checks.passed("ring smoke")


def test_a_damaged_checkpoint_is_told_with_the_step_that_is_left(
    check: Check, tmp_path: Path
) -> None:
    checkpoints.folder_of(tmp_path / "run", 5).mkdir(parents=True)
    (row,) = (row for row in check().rows if row["check"] == "earlier checkpoint")
    assert row["measured"].startswith("step 0; passed over a damaged checkpoint")


def test_deep_says_that_a_plain_folder_has_nothing_to_compare_with(check: Check) -> None:
    checks = check(deep=True)
    assert not checks.passed("model bytes re-hashed")
    assert "no digests" in reasons(checks)["model bytes re-hashed"]


def test_refuse_names_every_failure_and_has_the_cause_of_the_first(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums(monkeypatch, 2.0)
    monkeypatch.setattr(machine, "free_memory", lambda: 0)
    (tmp_path / "model" / "config.json").unlink()
    checks = check(digest=ALIKE)
    assert checks.causes == ["data", "model", "environment", "ranks"]
    with pytest.raises(Faults) as caught:
        preflight.refuse(checks)
    assert caught.value.cause == "data"
    assert [fault.split(" (here)")[0] for fault in caught.value.faults] == [
        "data set rows and digests",
        "model complete",
        "free memory",
        "ring smoke",
    ]


def test_a_skipped_check_is_never_a_passed_one(check: Check, tmp_path: Path) -> None:
    (tmp_path / "model" / "config.json").unlink()
    checks = check(ranks=1)
    skipped = by_status(checks)["SKIPPED"]
    assert len(skipped) == 7
    assert not any(map(checks.passed, skipped))
    assert all(reasons(checks)[name] for name in skipped)
