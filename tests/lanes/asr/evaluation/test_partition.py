"""The router: a rule of fixed order, thresholds fitted on valid alone, parts that add up."""

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asr_runs
import numpy as np
import pytest

from thunder.ground import digest, files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import labels
from thunder.lanes.asr.evaluation import dumps, partition, repetition, tally
from thunder.lanes.asr.model.oracle import NAMES
from thunder.scoring.score import counts, summary

Row = dict[str, Any]
ROWS = 120


def row(**changes: Any) -> Row:
    """Return a row of valid that is stable under `policy()`; dotted keys have __ for the dots."""
    text = "aaa bbb ccc"
    made: Row = {
        "feat_id": "r0",
        "split": "valid",
        "asr_text": text,
        "reference_text": text,
        "cer_edits": 0,
        "reference_chars": len(text),
        "char_conf": [0.95] * len(text),
        "trajectory_scalars": {
            name: {"mean": 0.5, "min": 0.1, "max": 0.9, "last": 0.5} for name in NAMES
        },
        "edge_pressure": 0.1,
        "mean_maxp": 0.95,
        "mean_entropy": 0.2,
        "blank_mass": 0.5,
        "duration_s": 1.0,
        "repetition": {"repeats": 1, "ratio": 0.9},
        "oov": 0.0,
    }
    for key, value in changes.items():
        *sections, last = key.split("__")
        place = made
        for section in sections:
            place = place[section]
        assert last in place, key
        place[last] = value
    return made


def policy(**thresholds: float) -> dict[str, Any]:
    """Return a policy whose fitted thresholds no ordinary row reaches."""
    fitted = {
        "novelty_above": 0.9,
        "recovery_margin_below": 0.2,
        "entropy_above": 1.0,
        "uncertainty_above": 0.8,
        "edge_pressure_above": 0.7,
    }
    values = {**partition.FIXED, **fitted, **thresholds}
    return {"thresholds": {name: round(value * 1_000_000) for name, value in values.items()}}


EDGES = [0.5] * 3 + [0.9] + [0.95] * 3 + [0.9] + [0.95] * 3
MEANS = "trajectory_scalars"
CASES = [
    ("stable", {}),
    ("novelty", {"blank_mass": 0.981}),
    ("stable", {"blank_mass": 0.98}),
    ("novelty", {"asr_text": "", "char_conf": []}),
    ("novelty", {"oov": 0.021}),
    ("novelty", {"duration_s": 0.4}),
    ("novelty", {"duration_s": 6.0}),
    ("novelty", {"duration_s": 0.0}),
    ("novelty", {f"{MEANS}__novelty__mean": 0.91, "mean_maxp": 0.59}),
    ("uncertain", {f"{MEANS}__novelty__mean": 0.91, "mean_maxp": 0.61}),
    ("stable", {f"{MEANS}__novelty__mean": 0.91}),
    ("recovery", {"repetition": {"repeats": 4, "ratio": 0.9}}),
    ("stable", {"repetition": {"repeats": 3, "ratio": 0.35}}),
    ("recovery", {"repetition": {"repeats": 1, "ratio": 0.349}}),
    ("recovery", {f"{MEANS}__recovery_margin__mean": 0.19}),
    ("uncertain", {"mean_maxp": 0.749}),
    ("uncertain", {"mean_entropy": 1.01}),
    ("uncertain", {f"{MEANS}__uncertainty__mean": 0.81}),
    ("boundary", {"char_conf": EDGES}),
    ("boundary", {"char_conf": EDGES[::-1]}),
    ("stable", {"char_conf": [0.5] * 3 + [0.9] + [0.89] * 3 + [0.9] + [0.95] * 3}),
    ("boundary", {"edge_pressure": 0.71}),
    # Without an interior nothing says that the doubt is at the edges alone.
    ("stable", {"asr_text": "aaa bbb", "char_conf": [0.5] * 3 + [0.9] * 4}),
]


@pytest.mark.parametrize(("label", "changes"), CASES, ids=lambda value: str(value)[:60])
def test_the_first_condition_that_holds_names_a_row(label: str, changes: dict[str, Any]) -> None:
    assert partition.label(row(**changes), policy()) == label


def test_the_first_match_wins() -> None:
    worst: dict[str, Any] = {
        "edge_pressure": 0.9,
        "mean_entropy": 2.0,
        "repetition": {"repeats": 9, "ratio": 0.1},
        "blank_mass": 0.99,
    }
    expected = ["boundary", "uncertain", "recovery", "novelty"]
    for number, label in enumerate(expected, 1):
        changes = dict(list(worst.items())[:number])
        assert partition.label(row(**changes), policy()) == label


def test_recovery_is_uncertain_among_four_labels() -> None:
    labelled = partition.labelled(row(repetition={"repeats": 8, "ratio": 0.2}), policy())
    assert (labelled["partition"], labelled["partition_fine"]) == ("uncertain", "recovery")
    assert {partition.merged(label) for label in labels.FINE} == set(labels.LABELS)


def valid_rows() -> list[Row]:
    rng = random.Random(0)
    names = ("novelty", "recovery_margin", "uncertainty")
    return [
        row(
            feat_id=f"r{number}",
            mean_entropy=rng.random(),
            **{f"{MEANS}__{name}__mean": rng.random() for name in names},
            **{f"{MEANS}__transition_pressure__max": rng.random()},
        )
        for number in range(ROWS)
    ]


def test_thresholds_are_quantiles_of_valid_as_integers() -> None:
    fitted = partition.fit(valid_rows(), "run")["thresholds"]
    entropies = sorted(one["mean_entropy"] for one in valid_rows())
    assert fitted["entropy_above"] == round(float(np.quantile(entropies, 0.85)) * 1_000_000)
    assert sum(one * 1_000_000 > fitted["entropy_above"] for one in entropies) == ROWS * 0.15
    assert all(type(value) is int for value in fitted.values())
    assert fitted["maxp_below"] == 750_000


def test_a_policy_does_not_depend_on_the_order_of_rows() -> None:
    rows = valid_rows()
    assert partition.fit(rows, "run") == partition.fit(rows[::-1], "run")


def test_a_row_of_test_may_not_move_a_threshold() -> None:
    with pytest.raises(ThunderError, match="row r0 is of test; only rows of valid may decide"):
        partition.fit([row(split="test")], "run")


def test_a_policy_needs_a_row() -> None:
    with pytest.raises(ThunderError, match="valid has no row to fit it on"):
        partition.fit([], "run")


def test_a_policy_comes_back_from_its_file(tmp_path: Path) -> None:
    made = partition.fit(valid_rows(), "run")
    partition.write(tmp_path / "p.json", made)
    assert partition.load(tmp_path / "p.json") == made


def _lower(fitted: dict[str, Any]) -> None:
    fitted["thresholds"]["maxp_below"] -= 1


def _other_rows(fitted: dict[str, Any]) -> None:
    fitted["fitted_on"]["rows"] += 1


def _of_test(fitted: dict[str, Any]) -> None:
    fitted["fitted_on"]["split"] = "test"


def _fraction(fitted: dict[str, Any]) -> None:
    fitted["thresholds"]["maxp_below"] += 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_lower, "changed after it was written"),
        (_other_rows, "changed after it was written"),
        (_of_test, "fitted_on.split: 'test' is not allowed; it must be 'valid'"),
        (_fraction, "maxp_below: 750000.5 is a number, not an integer"),
    ],
)
def test_a_changed_policy_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    path, fitted = tmp_path / "p.json", partition.fit(valid_rows(), "run")
    change(fitted)
    files.write_json(path, fitted)
    with pytest.raises(ThunderError, match=message) as caught:
        partition.load(path)
    assert caught.value.cause == "data"


def test_the_digest_of_a_policy_is_over_all_the_rest() -> None:
    fitted = partition.fit(valid_rows(), "run")
    assert fitted.pop("sha256") == digest.of_value(fitted)


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("", 0),
        ("a", 1),
        ("abab", 2),
        ("aaaa", 4),
        ("kokokoko", 4),
        ("ka taa ka taa ka taa ka taa", 4),
        ("a b c d a b c d a b c d", 3),
        ("abcdeabcdeabcdeabcde", 1),
    ],
)
def test_repeats_are_of_one_to_four_units_in_a_row(text: str, repeats: int) -> None:
    assert repetition.measure(text)["repeats"] == repeats


def test_a_loop_is_small_when_compressed_and_a_sentence_is_not() -> None:
    loop = "ߞߐߟߐߟߐ ߝߐߟߐ " * 12
    assert repetition.measure(loop)["ratio"] < 0.35
    for split in ("valid", "test"):
        for script in ("nko", "latin"):
            for text in asr_runs.texts(script, split, 200):
                assert repetition.measure(text)["ratio"] > 0.35, text


def test_scripts_are_compressed_alike() -> None:
    turned = str.maketrans("abdko ", "ߊߓߘߞߏ ")
    latin = "ako bado ka obad abako"
    assert repetition.measure(latin) == repetition.measure(latin.translate(turned))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts of a run, which no test changes."""
    made = tmp_path_factory.mktemp("run")
    asr_runs.write_artifacts(
        made, script="nko", mode="baseline", seed=1, rows=ROWS, error_rate=0.3, run_id="run"
    )
    return made


def tallied(rows: list[Row], origin: Callable[[str], str | None] = lambda name: None) -> Row:
    about = {"policy_version": 1, "sha256": "0" * 64}
    return tally.by_partition(rows, origin, run_id="run", split="test", policy=about)


def test_metrics_by_partition_are_those_of_scoring(folder: Path) -> None:
    rows = list(dumps.read(folder / "test_predictions.jsonl"))
    metrics = tallied(rows)
    for label in (*labels.LABELS, None):
        part = [one for one in rows if label in (None, one["partition"])]
        texts = [[one[key] for one in part] for key in ("reference_text", "asr_text")]
        expected = summary(counts(texts[0], texts[1], "nko", "norm"))
        numbers = metrics["all"] if label is None else metrics["partitions"][label]
        for key in ("rows", "edits", "ref_chars", "cer_micro", "cer_macro", "exact"):
            assert numbers[key] == expected[key], (label, key)
    assert metrics["n_rows"] == ROWS
    assert metrics["all"]["share"] == 1.0


def test_a_label_without_rows_is_there_and_says_so(folder: Path) -> None:
    rows = list(dumps.read(folder / "test_predictions.jsonl"))
    metrics = tallied([one for one in rows if one["partition_fine"] != "recovery"])
    assert metrics["fine"]["recovery"]["rows"] == 0
    assert metrics["fine"]["recovery"]["cer_micro"] is None
    assert metrics["fine"]["recovery"]["scalars_mean"] == dict.fromkeys(NAMES)


def test_metrics_of_no_rows_are_empty_and_right() -> None:
    assert tallied([])["all"]["cer_micro"] is None


def test_rows_without_a_source_are_of_an_unknown_one(folder: Path) -> None:
    rows = list(dumps.read(folder / "test_predictions.jsonl"))
    metrics = tallied(rows, lambda name: "radio" if name < rows[10]["feat_id"] else None)
    assert {name: one["rows"] for name, one in metrics["by_source"].items()} == {
        "radio": 10,
        "unknown": ROWS - 10,
    }


@pytest.mark.parametrize("group", ["partitions", "fine", "by_source"])
@pytest.mark.parametrize("key", ["rows", "edits", "ref_chars"])
def test_parts_that_do_not_add_up_are_refused(folder: Path, group: str, key: str) -> None:
    document = files.read_json(folder / "test_metrics_by_partition.json")
    tally.check_sums(document, "m.json")
    broken = copy.deepcopy(document)
    next(iter(broken[group].values()))[key] += 1
    whole = document["all"][key]
    message = rf"m\.json: {key} of {group} add up to {whole + 1}, of all rows to {whole}"
    with pytest.raises(ThunderError, match=message) as caught:
        tally.check_sums(broken, "m.json")
    assert caught.value.cause == "verification"


def test_labels_follow_from_the_rows_and_the_policy_alone(folder: Path) -> None:
    fitted = partition.load(folder / "partition_policy.json")
    for split in ("valid", "test"):
        for one in dumps.read(folder / f"{split}_predictions.jsonl"):
            assert partition.labelled(one, fitted) == one
