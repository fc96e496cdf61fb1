"""A model decoded again: which rows count as other ones."""

from pathlib import Path
from typing import Any

import asr_evaluated
import asr_training
import numpy as np
import pytest
from asr_training import as_trained  # noqa: F401

from thunder.ground import files
from thunder.lanes.asr.evaluation import adaptation, again, recognised
from thunder.lanes.asr.evaluation.recognised import Recogniser
from thunder.lanes.asr.training import batches, epoch

MAIN = adaptation.main("baseline")


@pytest.fixture
def recogniser() -> Recogniser:
    given = asr_evaluated.material()
    return Recogniser(given, asr_evaluated.model(given).eval(), asr_training.CPU, asr_evaluated.RUN)


@pytest.fixture
def rows(recogniser: Recogniser) -> list[dict[str, Any]]:
    return list(recognised.of_split(recogniser, "test", MAIN))


def compared(recogniser: Recogniser, rows: Any, folder: Path) -> tuple[list[str], list[str]]:
    """Return what is said of rows that differ by much, and of those that are nearly the same."""
    path = folder / "test_predictions.jsonl"
    files.write_jsonl(path, rows)
    told = again._told(path.name, again._compared(recogniser, path, "test", MAIN))
    assert told["not_looked_at"] == []
    return told["faults"], told["near"]


def test_what_was_dumped_is_decoded_again(
    recogniser: Recogniser, rows: Any, tmp_path: Path
) -> None:
    assert compared(recogniser, rows, tmp_path) == ([], [])


@pytest.mark.parametrize("key", ["asr_text", "reference_text"])
def test_another_text_is_found_and_shown(
    recogniser: Recogniser, rows: Any, tmp_path: Path, key: str
) -> None:
    rows[3][key] = "ߊߊߊ"
    far, near = compared(recogniser, rows, tmp_path)
    assert far[0] == "test_predictions.jsonl: 1 of 12 rows have another text"
    assert far[1].startswith(f"  {rows[3]['feat_id']} {key}: 'ߊߊߊ' in the dump, ")
    assert near == []


def test_rows_that_are_lacking_or_too_many_are_found(
    recogniser: Recogniser, rows: Any, tmp_path: Path
) -> None:
    lacking, *rest = sorted(rows, key=lambda row: row["feat_id"])
    far, _ = compared(recogniser, [*rest, {**lacking, "feat_id": "zzz"}], tmp_path)
    assert far[0] == "test_predictions.jsonl: 2 of 12 rows have another text"
    assert any("zzz asr_text" in line and "None decoded" in line for line in far)


def test_a_text_is_near_when_its_path_is_nearly_as_probable(
    recogniser: Recogniser, rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = max(rows, key=lambda row: len(row["asr_text"]))
    row["asr_text"] = row["asr_text"][:-1]
    assert compared(recogniser, rows, tmp_path)[1] == []
    monkeypatch.setitem(again.NEAR, "float32", 100.0)
    far, near = compared(recogniser, rows, tmp_path)
    assert far == []
    assert near[0] == "test_predictions.jsonl: 1 of 12 rows have another text, nearly as probable"


@pytest.mark.parametrize(("is_near", "key"), [(True, "near"), (False, "far")])
def test_looks_are_bounded_and_what_was_not_looked_at_is_neither_near_nor_a_fault(
    recogniser: Recogniser,
    rows: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_near: bool,
    key: str,
) -> None:
    looked: list[str] = []

    def look(*given: Any) -> bool:
        looked.append(given[-1].feat_id)
        return is_near

    monkeypatch.setattr(again, "MOST_LOOKS", 3)
    monkeypatch.setattr(again, "_is_near", look)
    path = tmp_path / "test_predictions.jsonl"
    files.write_jsonl(path, [{**row, "asr_text": row["asr_text"] + "ߊ"} for row in rows])
    compared = again._compared(recogniser, path, "test", MAIN)
    sizes = [len(of) for of in (compared.near, compared.far, compared.not_looked_at)]
    assert (len(looked), sizes) == (3, [3, 0, 9] if is_near else [0, 3, 9])
    assert [one.feat_id for one in getattr(compared, key)] == looked
    told = again._told(path.name, compared)["not_looked_at"]
    said = "9 of 12 rows have another text, not looked at after 3 others"
    assert told[0] == f"test_predictions.jsonl: {said}"


@pytest.mark.parametrize(
    ("results", "precision"),
    [
        ({"precision": "bfloat16 then float32", "evaluation_precision": "float32"}, "float32"),
        ({"precision": "float32"}, "float32"),
        ({"precision": "bfloat16"}, "bfloat16"),
        ({"precision": "bfloat16 then float32"}, "bfloat16"),  # as it was evaluated then
    ],
)
def test_a_run_is_decoded_in_what_it_was_evaluated_in(
    results: dict[str, str], precision: str
) -> None:
    assert again._precision(results) == precision


def test_the_probability_of_a_text_is_that_of_its_best_path(
    recogniser: Recogniser, rows: Any
) -> None:
    material = recogniser.material
    utterances = material.splits["test"]
    row = max(rows, key=lambda row: len(row["asr_text"]))
    places = np.array([utterances.ids.index(row["feat_id"])])
    batch = batches.collate(material.store, utterances, places, epoch.window(material))
    log_probs = recognised.output_of(recogniser, MAIN, batch).log_probs[0].numpy()
    best = again._log_probability(recogniser, log_probs, row["asr_text"])
    assert best == pytest.approx(row["n_best"][0]["score"], abs=1e-3)
    assert again._log_probability(recogniser, log_probs, "x") == -np.inf  # no class is Latin
    assert again._log_probability(recogniser, log_probs, "ߊ" * 999) == -np.inf
