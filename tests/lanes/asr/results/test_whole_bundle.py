"""A small bundle from nothing to its tables: speech, features, cells, dumps, scores, pages."""

import json
import shutil
from pathlib import Path

import forgery
import pytest
import running
from asr_training import as_trained  # noqa: F401
from shared import once

from thunder.commands import tasks
from thunder.ground import files
from thunder.jobs import kinds
from thunder.runs import store
from thunder.runs.run import Run

pytestmark = pytest.mark.slow
WORDS = ("+profile=asr_ctc", "train.epochs=6", "evaluate.suta.rows=4", "jobs=2")


def make(outputs: Path) -> None:
    """Run two cells of the stand-in as a person runs them."""
    words = (*WORDS, "mode=baseline,trajectory", f"outputs='{outputs}'")
    assert running.here(*words, sweep=True) == 0


@pytest.fixture
def outputs(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of two cells of the stand-in, run once in a session."""
    return Path(shutil.copytree(once(tmp_path_factory, "bundle", make), tmp_path / "outputs"))


def cells(outputs: Path) -> list[Run]:
    """Return the runs of cells, without that of the features."""
    return [run for run in store.all_runs(outputs) if run.kind == "asr"]


def test_the_features_are_made_once_for_all_cells(outputs: Path) -> None:
    (features,) = [run for run in store.all_runs(outputs) if run.kind == "asr_features"]
    assert {run.document()["needs"]["asr_features"] for run in cells(outputs)} == {features.id}
    assert len(cells(outputs)) == 2


def test_the_models_learn_the_stand_in(outputs: Path) -> None:
    """The bound is the issue's: a test CER below 50 %; six epochs reach about 20 %."""
    for run in cells(outputs):
        rate = run.metrics()["test_cer_micro"]
        assert rate is not None
        assert rate < 0.5


def test_every_run_leaves_its_nine_artifacts_and_proves_them(outputs: Path) -> None:
    for run in cells(outputs):
        assert all((run.folder / name).stat().st_size for name in kinds.KINDS["asr"].artifacts)
        assert store.verify(run) == []


def test_a_stranger_scores_the_dumps_to_the_last_digit(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in cells(outputs):
        dumps = [str(run.folder / f"test_{name}.jsonl") for name in ("predictions", "references")]
        assert tasks.main(["score", *dumps, "--json"]) == 0
        scored = json.loads(capsys.readouterr().out)
        results = files.read_json(run.folder / "results.json")
        for variant, said in results["test"].items():
            again = scored["all"][variant]
            assert {key: again[key] for key in said if key in again} == {
                key: said[key] for key in said if key in again
            }
            assert again["cer_micro"] == said["cer_micro"]
        assert results["test_cer"] == scored["all"]["norm"]["cer_micro"]


def test_the_cells_read_the_same_rows(outputs: Path) -> None:
    inputs = [run.record()["inputs"] for run in cells(outputs)]
    assert inputs[0] == inputs[1]
    assert set(inputs[0]) == {"data", "split", "features"}
    splits = {(run.folder / "split.json").read_bytes() for run in cells(outputs)}
    assert len(splits) == 1


def test_the_tables_follow_from_the_runs(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (plan,) = (outputs / "plans").iterdir()
    words = ["table", plan.stem, "--outputs", str(outputs)]
    assert tasks.main(words) == 0
    shown = capsys.readouterr().out
    assert all(run.folder.name in shown for run in cells(outputs))
    assert "†" in shown
    assert tasks.main([*words, "--check"]) == 0
    page = outputs / "tables" / f"{plan.stem}.md"
    page.write_text(page.read_text(encoding="utf-8").replace("†", ""), encoding="utf-8")
    assert tasks.main([*words, "--check"]) == 1


def test_a_stand_in_has_an_error_page_and_no_promotion(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = cells(outputs)[0]
    assert tasks.main(["errors", run.id, "--outputs", str(outputs)]) == 0
    page = (outputs / "pages" / f"errors-{run.id}.html").read_text(encoding="utf-8")
    assert "Stand-in: data and model." in page
    assert 'src="data:audio/flac' in page
    assert tasks.main(["promote", run.id, "--outputs", str(outputs)]) == 1
    assert "a stand-in of data and model; it" in capsys.readouterr().err


def test_decoding_again_finds_a_forgery_that_agrees_with_itself(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--outputs", str(outputs)]
    honest, forged = cells(outputs)
    feat_id = forgery.forge(forged)
    dumps = [str(forged.folder / f"test_{name}.jsonl") for name in ("predictions", "references")]
    (plan,) = (outputs / "plans").iterdir()
    for asked in (["verify", forged.id, *words], ["score", *dumps], ["table", plan.stem, *words]):
        assert tasks.main(asked) == 0  # nothing is wrong that digests and scores could show
    before = {path: path.stat().st_mtime_ns for path in outputs.rglob("*")}
    capsys.readouterr()
    assert tasks.main(["verify", "--decode", forged.id, *words]) == 1
    shown = capsys.readouterr().out
    assert f"{forged.id}  FAIL  test_predictions.jsonl: 1 of 50 rows have another text" in shown
    assert f"{feat_id} asr_text: " in shown
    assert tasks.main(["verify", "--decode", honest.id, *words, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["notes"] == [
        "100 rows of valid, test decoded again, suta not: it trains on every row"
    ]
    assert {path: path.stat().st_mtime_ns for path in outputs.rglob("*")} == before


def test_what_cannot_be_decoded_is_no_proof(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = cells(outputs)[0]
    shutil.rmtree(outputs / "cache")
    words = ["--outputs", str(outputs)]
    assert tasks.main(["verify", "--decode", run.id, *words]) == 1
    assert "FAIL  cannot be decoded: the data of the run are not at" in capsys.readouterr().out
    assert tasks.main(["verify", run.id, *words]) == 0
    (features,) = [one for one in store.all_runs(outputs) if one.kind == "asr_features"]
    assert tasks.main(["verify", "--decode", features.id, *words]) == 1
    assert "is of kind asr_features; --decode is for asr" in capsys.readouterr().err


def test_a_second_command_has_nothing_to_do(outputs: Path) -> None:
    before = running.attempts(outputs)
    make(outputs)
    assert running.attempts(outputs) == before
