# ruff: noqa: F811  (an imported fixture and the argument it fills)
"""Rows that are not whole are named by id, with the reason, and a test set that shrank is seen."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from asr_training import Speech, silent, speech  # noqa: F401

from thunder.ground import files
from thunder.lanes.asr import material, row_faults
from thunder.lanes.asr.features import job
from thunder.lanes.asr.material import Material


@pytest.fixture(scope="module")
def broken(speech: Speech, tmp_path_factory: pytest.TempPathFactory) -> Speech:
    """Return the stand-in with a text without letters, and recordings that are torn or long."""
    root = tmp_path_factory.mktemp("broken")
    shutil.copytree(speech.outputs, root / "copy")
    copied = Speech(root / "copy", root / "copy" / "data", root / "copy" / "features")
    rows = list(files.read_jsonl(copied.data / "pairs.jsonl"))
    for row in rows:
        if row["feat_id"].endswith("3"):
            row["nko"] = "߸ … !"
        if row["feat_id"].endswith("7"):
            (copied.data / "audio" / f"{row['feat_id']}.wav").write_bytes(b"RIFF")
    files.write_jsonl(copied.data / "pairs.jsonl", rows)
    shutil.rmtree(copied.features)
    copied.features.mkdir()
    config = copied.config()
    config["features"] = {**config["features"], "most_corrupt": 0.5, "seconds": 2.0}
    job.run(config, copied.features, silent)
    return copied


def _gathered(speech: Speech, folder: Path, **changes: Any) -> Material:
    return material.gather(speech.config(**changes), folder, silent)


def test_every_row_that_is_not_whole_is_named_and_counted(broken: Speech, tmp_path: Path) -> None:
    given = _gathered(broken, tmp_path, model__stride=4)
    named = list(files.read_jsonl(tmp_path / "row_faults.jsonl"))
    counted = Counter((row["split"], row["fault"]) for row in named)
    for split, counts in given.counts.items():
        for fault in ("missing", "empty", "infeasible", "cut"):
            assert counted[split, fault] == counts[fault], (split, fault)
    by_fault = {fault: [r for r in named if r["fault"] == fault] for _, fault in counted}
    assert set(by_fault) == {"missing", "empty", "infeasible", "cut"}
    ids = {row["feat_id"] for row in files.read_jsonl(broken.data / "pairs.jsonl")}
    assert {r["feat_id"] for r in by_fault["missing"]} == {i for i in ids if i.endswith("7")}
    assert {r["feat_id"] for r in by_fault["empty"]} == {i for i in ids if i.endswith("3")}
    assert all("not readable as audio" in row["reason"] for row in by_fault["missing"])
    assert all(row["reason"].startswith("2 of ") for row in by_fault["cut"])
    assert all(" letters for " in row["reason"] for row in by_fault["infeasible"])


def test_a_whole_data_set_names_no_row(speech: Speech, tmp_path: Path) -> None:
    given = _gathered(speech, tmp_path)
    assert (tmp_path / "row_faults.jsonl").read_bytes() == b""
    assert row_faults.sentences(given.counts) == []


def test_a_test_set_that_shrank_is_a_warning() -> None:
    said = row_faults.sentences({"test": {"rows": 29_060, "missing": 1_200, "cut": 3}})
    assert said == [
        "1,200 of 29,060 rows of test have no features and are not scored: row_faults.jsonl names "
        "them",
        "3 of 29,060 rows of test are longer than features.seconds and heard in part: "
        "row_faults.jsonl names them",
    ]


def test_a_run_warns_of_rows_that_its_test_set_lacks(broken: Speech, tmp_path: Path) -> None:
    from thunder.lanes.asr import job as asr_job

    events: list[dict[str, Any]] = []
    config = broken.config(train__epochs=1, train__batch_size=4, split__seed=7)
    asr_job.run(config, tmp_path, events.append)
    results = files.read_json(tmp_path / "results.json")
    said = row_faults.sentences(results["splits"])
    assert said
    assert results["warnings"][: len(said)] == said
    assert {*said} <= {event["text"] for event in events if event["event"] == "warning"}


def test_rows_in_no_part_of_a_given_split_are_named(broken: Speech, tmp_path: Path) -> None:
    ids = sorted(row["feat_id"] for row in files.read_jsonl(broken.data / "pairs.jsonl"))
    parts = {"train": ids[:30], "valid": ids[30:40], "test": ids[40:55]}
    files.write_json(broken.data / "split.json", parts)
    _gathered(broken, tmp_path, split__rule="given")
    named = list(files.read_jsonl(tmp_path / "row_faults.jsonl"))
    left = [row for row in named if row["fault"] == "left_out"]
    assert [row["feat_id"] for row in left] == ids[55:]
    assert {row["split"] for row in left} == {None}
