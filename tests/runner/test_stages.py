"""What comes first: needed runs and required matrices, and what a failure there stops."""

import contextlib
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import bundle_runs
import pytest
import running

from thunder.commands import launch, requests, tasks
from thunder.ground.errors import ThunderError
from thunder.jobs import kinds
from thunder.jobs.matrix import Cell
from thunder.runner import estimate, plans, stages
from thunder.runner import loop as runner
from thunder.runs import attempts, lock, store
from thunder.runs.cells import how_far

MATRIX = """# Does it work?
profile: dry
axes:
  seed: [1, 2]
requires: [first]
optional:
  - {seed: 2}
"""


@pytest.fixture
def needing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an asr job be a dry one that needs a dry run of features, without a backend."""
    monkeypatch.setenv("PYTHONPATH", str(running.HERE))
    let_features_be(monkeypatch, "odd_lanes:counted")
    asr = replace(
        kinds.KINDS["asr"], function="odd_lanes:reads_features", artifacts=("a",), packages=()
    )
    monkeypatch.setitem(kinds.KINDS, "asr", asr)


def let_features_be(monkeypatch: pytest.MonkeyPatch, function: str, packages: str = "") -> None:
    """Let a lane of the tests make the features."""
    features = replace(kinds.KINDS["asr_features"], function=function, packages=packages.split())
    monkeypatch.setitem(kinds.KINDS, "asr_features", features)


def own(folder: Path, **matrices: str) -> Path:
    """Return a conf folder beside which matrices of one's own lie."""
    (folder / "conf").mkdir()
    (folder / "matrices").mkdir()
    for name, text in matrices.items():
        (folder / "matrices" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / "conf"


def asked(words: list[str], conf: Path | None = None) -> requests.Request:
    """Read a command line."""
    return requests.read(words, config_dir=conf)


def test_cells_share_the_run_that_they_need_and_its_id_is_in_theirs(tmp_path: Path) -> None:
    request = asked(["matrix=vast_a100_asr", f"outputs={tmp_path}"])
    (needed,) = {need.id for cell in request.cells for need in cell.job.needs}
    assert {cell.job.document["needs"]["asr_features"] for cell in request.cells} == {needed}
    other = asked(["matrix=vast_a100_asr", f"outputs={tmp_path}", "features=log_mel"])
    assert other.cells[0].job.needs[0].id != needed
    assert other.cells[0].job.id != request.cells[0].job.id


def test_the_needed_run_does_not_depend_on_how_cells_train(tmp_path: Path) -> None:
    words = [f"outputs={tmp_path}", "+profile=asr_ctc"]
    ids = {
        asked([*words, *more]).cells[0].job.needs[0].id
        for more in ([], ["seed=7"], ["train.epochs=2"], ["mode=tar"], ["split.seed=1"])
    }
    assert len(ids) == 1


@pytest.mark.slow
def test_a_needed_run_comes_first_and_cells_are_told_where_it_lies(
    tmp_path: Path, needing: None
) -> None:
    words = ["+profile=asr_ctc", f"outputs={tmp_path}"]
    assert running.here(*words) == 0
    (features,) = [run for run in store.all_runs(tmp_path) if run.kind == "asr_features"]
    (cell,) = [run for run in store.all_runs(tmp_path) if run.kind == "asr"]
    assert cell.metrics()["rows"] == features.metrics()["rows"]
    paths = cell.record()["attempts"][0]["runtime"]["paths"]
    assert paths["asr_features"] == str(features.folder)
    assert running.here(*words, "seed=3") == 0  # shared: made once
    assert len([run for run in store.all_runs(tmp_path) if run.kind == "asr_features"]) == 1


@pytest.mark.slow
def test_a_cell_whose_needed_run_failed_is_not_started(
    tmp_path: Path, needing: None, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    let_features_be(monkeypatch, "odd_lanes:raises")
    assert running.here("+profile=asr_ctc", f"outputs={tmp_path}") == runner.EXIT_FAILED
    assert [run.kind for run in store.all_runs(tmp_path)] == ["asr_features"]
    assert "which is failed" in capsys.readouterr().out


@pytest.mark.slow
def test_a_required_matrix_runs_first_and_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = "# First?\nprofile: dry\naxes:\n  seed: [8, 9]\n"
    conf = own(tmp_path, main=MATRIX, first=first)
    request = asked(["matrix=main", f"outputs={tmp_path / 'o'}"], conf)
    assert launch.run(request) == 0
    assert running.attempts(tmp_path / "o") == 4
    assert launch.run(request) == 0
    assert running.attempts(tmp_path / "o") == 4
    assert launch.run(asked(["matrix=main", f"outputs={tmp_path / 'o'}", "force=true"], conf)) == 0
    assert running.attempts(tmp_path / "o") == 6  # what is required is not forced
    out = capsys.readouterr().out
    assert "first   first: 2 cells, 2 runs: 0 reached, 2 planned" in out
    assert "first   first: 2 cells, 2 runs: 2 reached" in out


@pytest.mark.slow
def test_what_is_reached_needs_nothing_any_more(tmp_path: Path, needing: None) -> None:
    words = ["+profile=asr_ctc", f"outputs={tmp_path}"]
    assert running.here(*words) == 0
    (features,) = [run for run in store.all_runs(tmp_path) if run.kind == "asr_features"]
    shutil.rmtree(features.folder)  # many gigabytes, which nothing reads any more
    assert running.here(*words) == 0
    assert not features.folder.exists()
    assert running.here(*words, "seed=3") == 0
    assert features.folder.exists()


@pytest.mark.slow
def test_two_runners_share_what_comes_first_and_what_comes_after(
    tmp_path: Path, needing: None, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    let_features_be(monkeypatch, "odd_lanes:counted_slowly")
    words = ["+profile=asr_ctc", f"outputs={tmp_path}"]
    (cell,) = asked(words).cells
    (need,) = cell.job.needs
    first = threading.Thread(
        target=runner.run,
        args=(how_far([Cell({}, need)], tmp_path), running.Silent()),
    )
    with monkeypatch.context() as patch:  # signals are for the main thread
        patch.setattr(runner, "_signals", lambda *_: contextlib.nullcontext(lambda: None))
        first.start()
        running.wait_for(lambda: store.find(tmp_path, need.kind, need.id).is_owned(), "the first")
    assert running.here(*words) == 0
    first.join()
    assert "waiting for 1 run that another runner has" in capsys.readouterr().out
    assert running.attempts(tmp_path) == 2


@pytest.mark.slow
def test_a_matrix_that_is_reached_does_not_run_what_it_requires_again(
    tmp_path: Path, needing: None, capsys: pytest.CaptureFixture[str]
) -> None:
    first = "# First?\nprofile: asr_ctc\naxes:\n  seed: [8]\n"
    main = "# And then?\nprofile: dry\naxes:\n  seed: [1]\nrequires: [first]\n"
    conf = own(tmp_path, main=main, more=main.replace("[1]", "[1, 2]"), first=first)
    outputs = tmp_path / "o"
    assert launch.run(asked(["matrix=main", f"outputs={outputs}"], conf)) == 0
    shutil.rmtree(outputs / "asr_features")
    assert launch.run(asked(["matrix=more", f"outputs={outputs}"], conf)) == 0
    assert not (outputs / "asr_features").exists()  # first is reached: its features are not read
    shutil.rmtree(outputs / "asr")
    assert launch.run(asked(["matrix=main", f"outputs={outputs}"], conf)) == 0
    assert not (outputs / "asr").exists()


@pytest.mark.slow
def test_nothing_starts_behind_a_required_matrix_that_is_not_green(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = "# First?\nprofile: dry\naxes:\n  seed: [8, 9]\nset: {dry.fail: true}\n"
    conf = own(tmp_path, main=MATRIX, first=first)
    code = launch.run(asked(["matrix=main", f"outputs={tmp_path / 'o'}"], conf))
    assert code == runner.EXIT_FAILED
    assert running.statuses(tmp_path / "o") == ["failed", "failed"]
    assert "main: not started: it requires first, which lacks 2 cells" in capsys.readouterr().out


def test_a_dry_run_shows_what_comes_first_and_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert running.here("matrix=vast_a100_asr", f"outputs={tmp_path}", "dry_run=true") == 0
    out = capsys.readouterr().out
    assert "first   asr_features [stand-in]  asr_features" in out
    assert "first   asr_sanity: 8 cells, 8 runs: 0 reached, 8 planned" in out
    assert store.all_runs(tmp_path) == []


def test_status_shows_which_of_the_nine_files_a_run_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = bundle_runs.finish(tmp_path, bundle_runs.cell(), rows=12)
    for name in ("best.pt", "train.log"):
        (run.folder / name).unlink()
    assert tasks.main(["status", "--outputs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[2].endswith("train.log best.pt")
    with lock.owned(run.folder):  # what goes on is not lacking yet
        record = run.record()
        attempts.write_record(run, {**record, "status": "running"})
        assert tasks.main(["status", "--outputs", str(tmp_path)]) == 0
        assert "lacks" not in capsys.readouterr().out
        attempts.write_record(run, record)
    assert tasks.main(["status", "vast_a100_asr", "--outputs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("all 9 files") == 8
    assert max(map(len, shown.splitlines())) <= 100


def test_the_run_matrix_on_disk_says_what_will_be_run(tmp_path: Path) -> None:
    plan = launch.prospect(asked(["matrix=vast_a100_asr", f"outputs={tmp_path}"])).plan
    assert plan is not None
    cells = json.loads(plans.write(tmp_path, plan).read_text())["cells"]
    assert len(cells) == 8
    assert sum(cell["required"] for cell in cells) == 5
    assert {cell["seed"] for cell in cells} == {42}
    assert "script=latin" in cells[-1]["command"]
    assert "mode=trajectory_ttt" in cells[-1]["command"]
    assert all(cell["folder"].endswith(f"asr/{cell['id']}") for cell in cells)
    assert all(cell["seconds_left"] is None and cell["stand_in"] for cell in cells)


def test_matrices_that_require_each_other_are_refused(tmp_path: Path) -> None:
    other = MATRIX.replace("[first]", "[main]")
    conf = own(tmp_path, main=MATRIX, first=other)
    request = asked(["matrix=main", f"outputs={tmp_path}"], conf)
    with pytest.raises(ThunderError, match="main → first → main"):
        stages.before(request.cells, request.matrix, request.words, request.places)


def test_a_required_matrix_keeps_its_own_settings(tmp_path: Path) -> None:
    request = asked(["matrix=vast_a100_asr", f"outputs={tmp_path}", "train.epochs=9"])
    (gate,) = [stage for stage in stages.before(
        request.cells, request.matrix, request.words, request.places) if stage.is_gate]  # fmt: skip
    assert {cell.job.config["train"]["epochs"] for cell in gate.cells} == {1}
    assert {cell.job.config["train"]["epochs"] for cell in request.cells} == {9}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("requires: [first]", r"main.yaml:5: requires: no matrix 'first'"),
        ("optional:\n  - {sed: 2}", r"'sed' is not an axis \(did you mean 'seed'\?\)"),
        ("compare: {seed: 7}", r"compare \{'seed': 7\} matches no cell"),
    ],
)
def test_a_slip_in_the_words_of_a_bundle_is_told(tmp_path: Path, edit: str, message: str) -> None:
    head = "# Does it work?\nprofile: dry\naxes:\n  seed: [1, 2]\n"
    conf = own(tmp_path, main=f"{head}{edit}\n")
    with pytest.raises(ThunderError, match=message):
        asked(["matrix=main", f"outputs={tmp_path}"], conf)


def test_a_window_is_refused_where_there_are_no_steps(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match="a job of kind asr has no steps to stop at"):
        asked(["+profile=asr_ctc", f"outputs={tmp_path}", "window=3"])


@pytest.mark.slow
def test_the_time_left_is_estimated_from_runs_that_are_done(tmp_path: Path) -> None:
    words = ["+profile=dry", f"outputs={tmp_path}", "dry.sleep_seconds=0.2"]
    assert running.here(*words) == 0
    cells = asked([*words, "seed=5"]).cells
    (seconds,) = estimate.seconds_left(how_far(cells, tmp_path), tmp_path)
    assert seconds == pytest.approx(store.all_runs(tmp_path)[0].record()["attempts"][0]["seconds"])
    cells = asked([*words[:2], "dry.sleep_seconds=9"]).cells
    assert estimate.seconds_left(how_far(cells, tmp_path), tmp_path) == [None]
    assert estimate.text_of([60.0, None, 120.0], 2) == (
        "about 2 min to go, and 1 run with nothing to go by"
    )
    assert estimate.text_of([0.0, 0.0], 1) == ""


@pytest.mark.slow
def test_a_cheap_run_does_not_estimate_a_long_one(tmp_path: Path, needing: None) -> None:
    words = ["+profile=asr_ctc", f"outputs={tmp_path}"]
    sanity = ["data.take=40", "train.epochs=1"]
    assert running.here(*words, *sanity) == 0

    def left(*more: str) -> list[float | None]:
        planned = how_far(asked([*words, *more]).cells, tmp_path)
        return estimate.seconds_left(planned, tmp_path)

    assert left() == [None]
    assert left(*sanity, "seed=3")[0] is not None
    assert left(*sanity, "mode=tar")[0] is not None


def test_a_plan_of_before_is_not_misread(tmp_path: Path) -> None:
    plans.path_of(tmp_path, "x").parent.mkdir(parents=True)
    plans.path_of(tmp_path, "x").write_text('{"name": "x"}', encoding="utf-8")
    with pytest.raises(ThunderError, match="move it away to plan afresh"):
        plans.read(tmp_path, "x")


@pytest.mark.slow
def test_a_lane_whose_packages_are_missing_is_refused_before_anything_runs(
    tmp_path: Path, needing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_features_be(monkeypatch, "odd_lanes:counted", packages="no_such_package")
    with pytest.raises(ThunderError, match=r"needs no_such_package: install .*\.\[asr\]"):
        running.here("+profile=asr_ctc", f"outputs={tmp_path}")
    assert store.all_runs(tmp_path) == []
