"""results.json follows from the dumps beside it, whoever scores them again."""

import re
from pathlib import Path
from typing import Any

import asr_evaluated as evaluation
import asr_runs
import numpy as np
import pytest

from thunder.ground import files, schema
from thunder.jobs.kinds import KINDS
from thunder.lanes.asr.data import vocabulary
from thunder.lanes.asr.evaluation import dumps, partition, results, scored_dump
from thunder.lanes.asr.features import log_mel
from thunder.lanes.asr.model import definitions
from thunder.language import spelling
from thunder.scoring import documents
from thunder.scoring import dumps as scored_dumps

MODES = ("baseline", "trajectory", "tar", "trajectory_ttt")
METRIC = re.compile("^[a-z][a-z0-9_]*$")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float | None]]:
    """A run with fast weights, its folder and its metrics; no test changes it."""
    folder = tmp_path_factory.mktemp("outputs") / evaluation.RUN
    return folder, evaluation.evaluated(folder, "trajectory_ttt")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that `asr_runs` wrote."""
    folder = tmp_path_factory.mktemp("written")
    asr_runs.write_artifacts(
        folder, script="latin", mode="trajectory_ttt", seed=3, rows=300, error_rate=0.25,
        run_id="e" * 64,
    )  # fmt: skip
    return folder


def rescored(folder: Path, predictions: str, samples: int) -> dict[str, Any]:
    """Score a dump as a stranger does, from its two files alone."""
    dump = scored_dumps.read(folder / predictions, folder / "test_references.jsonl")
    return documents.of_dump(dump, samples=samples)


def numbers(block: dict[str, Any]) -> dict[str, Any]:
    keys = (
        "rows",
        "edits",
        "ref_chars",
        "cer_micro",
        "cer_macro",
        "cer_median",
        "wer_micro",
        "exact",
    )
    return {key: block[key] for key in keys}


@pytest.mark.slow
def test_a_stranger_gets_the_same_numbers_to_the_last_digit(
    done: tuple[Path, dict[str, float | None]], written: Path
) -> None:
    for folder, samples in ((done[0], 100), (written, 1000)):
        document = files.read_json(folder / "results.json")
        other = rescored(folder, "test_predictions.jsonl", samples)
        for variant in ("raw", "norm", "toneless"):
            assert document["test"][variant] == numbers(other["all"][variant])
            assert document["text_disjoint"][variant] == numbers(other["text_disjoint"][variant])
        assert document["test_cer"] == other["all"]["norm"]["cer_micro"]
        assert document["cer_ci95"] == other["all"]["norm"]["cer_ci95"]


def test_rows_carry_the_edits_that_results_add_up(done: tuple[Path, Any], written: Path) -> None:
    for folder in (done[0], written):
        document = files.read_json(folder / "results.json")
        for split in ("valid", "test"):
            rows = list(dumps.read(folder / f"{split}_predictions.jsonl"))
            assert document[split]["norm"]["edits"] == sum(row["cer_edits"] for row in rows)
            assert document[split]["norm"]["ref_chars"] == sum(
                row["reference_chars"] for row in rows
            )


def test_adaptation_columns_are_of_their_dumps(done: tuple[Path, Any], written: Path) -> None:
    names = {"off": "_ttt_off", "on": "", "shuffled": "_ttt_shuffled", "suta": "_suta"}
    for folder in (done[0], written):
        document = files.read_json(folder / "results.json")
        main = list(dumps.read(folder / "test_predictions.jsonl"))
        for column, suffix in names.items():
            rows = list(dumps.read(folder / f"test_predictions{suffix}.jsonl"))
            said = document["adaptation"][column]
            assert (said["rows"], said["edits"]) == (len(rows), sum(r["cer_edits"] for r in rows))
            same = main[: len(rows)]
            chars = sum(row["reference_chars"] for row in same)
            assert said["main_cer_micro"] == sum(row["cer_edits"] for row in same) / chars


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_without_fast_weights_has_no_such_columns(tmp_path: Path, mode: str) -> None:
    evaluation.evaluated(tmp_path / evaluation.RUN, mode)
    document = files.read_json(tmp_path / evaluation.RUN / "results.json")
    has = {name for name, column in document["adaptation"].items() if column is not None}
    assert has == ({"off", "on", "shuffled", "suta"} if mode == "trajectory_ttt" else {"suta"})
    flags = [document[f"use_{part}"] for part in ("trajectory", "tar", "ttt")]
    assert flags == [mode.startswith("trajectory"), mode == "tar", mode == "trajectory_ttt"]
    assert document["definitions"] == definitions.definitions(mode)


def test_results_say_what_the_run_was(done: tuple[Path, Any]) -> None:
    document = files.read_json(done[0] / "results.json")
    assert document["run_id"] == evaluation.RUN
    assert document["vocab_sha256"] == vocabulary.make("nko").digest
    assert document["policy_sha256"] == files.read_json(done[0] / "partition_policy.json")["sha256"]
    assert document["features_run"] == "0" * 12
    assert document["lr"] == 10 * evaluation.material().config["train"]["learning_rate"]
    assert document["stand_in"] is True
    assert (document["best_epoch"], document["stopped_because"]) == (3, "epochs")
    assert document["wall_s"] > evaluation.TRAINING["train_seconds"]
    assert document["splits"]["test"]["rows"] == evaluation.ROWS["test"]
    assert 0 < document["splits"]["test"]["hours"] < 0.01


def test_a_forced_second_run_has_the_id_of_its_job(tmp_path: Path) -> None:
    evaluation.evaluated(tmp_path / f"{evaluation.RUN}.2")
    assert (
        files.read_json(tmp_path / f"{evaluation.RUN}.2" / "results.json")["run_id"]
        == evaluation.RUN
    )


def test_metrics_are_numbers_of_results(done: tuple[Path, dict[str, float | None]]) -> None:
    folder, metrics = done
    document = files.read_json(folder / "results.json")
    schema.check("metrics", metrics, "metrics")
    assert all(METRIC.match(name) for name in metrics)
    assert metrics["test_cer_micro"] == document["test_cer"]
    assert [metrics["test_cer_low"], metrics["test_cer_high"]] == document["cer_ci95"]
    assert metrics["test_cer_raw"] == document["test"]["raw"]["cer_micro"]
    assert metrics["test_cer_suta"] == document["adaptation"]["suta"]["cer_micro"]
    assert metrics["test_cer_ttt_off"] == document["adaptation"]["off"]["cer_micro"]
    assert metrics["valid_loss"] == evaluation.TRAINING["best_val_loss"]
    # The names that docs, tables and matrices may use; a change here is a change there.
    assert sorted(metrics) == [
        "best_epoch", "blank_mass", "epochs_trained", "infeasible_test", "infeasible_train",
        "infeasible_valid", "nan_batches", "parameters", "stable_share", "test_cer_high",
        "test_cer_low", "test_cer_macro", "test_cer_micro", "test_cer_raw", "test_cer_suta",
        "test_cer_toneless", "test_cer_ttt_off", "test_cer_ttt_shuffled", "test_exact", "test_wer",
        "train_seconds", "utterances_per_second", "valid_cer_micro", "valid_loss",
    ]  # fmt: skip


def test_what_has_no_tones_to_put_aside_has_no_metric_of_it(
    done: tuple[Path, dict[str, float | None]],
) -> None:
    folder, metrics = done
    document = files.read_json(folder / "results.json")
    training = {"train_seconds": 1.0, "utterances_per_second": 1.0}
    plain = results.metrics(document, training, spelling.form("french", "plain"))
    assert {*metrics} - {*plain} == {"test_cer_toneless"}


def scored(stable: int, rows: int, blank: float = 0.5) -> scored_dump.Scored:
    labels = ["stable"] * stable + ["uncertain"] * (rows - stable)
    return scored_dump.Scored([f"r{n}" for n in range(rows)], {}, labels, [blank] * rows)


@pytest.mark.parametrize(
    ("stable", "is_useful"), [(19, False), (20, True), (95, True), (96, False)]
)
def test_a_router_that_routes_nothing_is_warned_of(stable: int, is_useful: bool) -> None:
    warned = scored_dump.warnings(scored(stable, 100))
    assert (warned == []) is is_useful
    if not is_useful:
        assert f"{stable}.0% of test stable" in warned[0]


def test_a_model_that_writes_nothing_is_warned_of() -> None:
    warned = scored_dump.warnings(scored(50, 100, blank=0.99))
    assert len(warned) == 1
    assert "99.0% of the posteriors of test are blank" in warned[0]


def test_warnings_are_in_results_and_told(tmp_path: Path) -> None:
    events: list[Any] = []
    evaluation.evaluated(tmp_path / evaluation.RUN, events=events)
    document = files.read_json(tmp_path / evaluation.RUN / "results.json")
    assert document["warnings"]
    assert [e["text"] for e in events if e["event"] == "warning"] == document["warnings"]


def test_written_runs_of_one_size_are_of_the_same_rows(tmp_path: Path, written: Path) -> None:
    asr_runs.write_artifacts(
        tmp_path, script="nko", mode="baseline", seed=9, rows=300, error_rate=0.1, run_id="d" * 64
    )
    for name in ("test_references", "valid_references"):
        first, second = (
            [row["feat_id"] for row in dumps.read(folder / f"{name}.jsonl")]
            for folder in (tmp_path, written)
        )
        assert first == second


def test_written_runs_of_one_script_have_the_same_references(tmp_path: Path, written: Path) -> None:
    asr_runs.write_artifacts(
        tmp_path, script="latin", mode="tar", seed=4, rows=300, error_rate=0.1, run_id="d" * 64
    )
    first, second = ((f / "test_references.jsonl").read_bytes() for f in (tmp_path, written))
    assert first == second
    rates = [files.read_json(folder / "results.json")["test_cer"] for folder in (tmp_path, written)]
    assert rates == [pytest.approx(0.1, rel=0.2), pytest.approx(0.25, rel=0.2)]


def test_written_rows_get_every_label(written: Path) -> None:
    fine = files.read_json(written / "test_metrics_by_partition.json")["fine"]
    rates = {label: numbers["cer_micro"] for label, numbers in fine.items()}
    assert np.all([rate is not None for rate in rates.values()])
    assert rates["stable"] < rates["uncertain"] < rates["novelty"]


def test_what_shapes_a_result_is_pinned_beside_the_revision_of_its_kind() -> None:
    # These are in no id: who raises one raises the revision as well, or old runs stay done.
    shapes = (
        spelling.SCORED_VERSION,
        spelling.NORMALISER_VERSION,
        vocabulary.VERSION,
        partition.POLICY_VERSION,
    )
    assert (KINDS["asr"].revision, *shapes) == (1, 1, 1, 1, 1)
    assert (KINDS["asr_features"].revision, log_mel.REVISION) == (1, 1)
