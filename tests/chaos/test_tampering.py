"""Every file of a run, tampered with in every way: seen by `verify`, and never a wrong number."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bundle_runs
import chaos as chaotic
import pytest
import running
from chaos import Chaos
from tampering import WAYS, tamper

from thunder.commands import requests, views
from thunder.ground import files, folders, run_files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.results import bundle
from thunder.results import promotion
from thunder.results.tables import summary
from thunder.runs import attempts, provenance, store
from thunder.runs.run import Run

MATRIX = """\
profile: own_three
axes:
  dry.value: [1, 2, 3]
table:
  metrics: [value]
"""
RIGHT = {1: 1.0, 2: 2.0, 3: 3.0}


@pytest.fixture(autouse=True)
def _committed(monkeypatch: pytest.MonkeyPatch) -> None:
    running.let_code_be_committed(monkeypatch)


def files_of(run: Run) -> list[str]:
    """Return the files of a run but for its lock, which nobody reads."""
    return sorted(
        str(path.relative_to(run.folder))
        for path in run.folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    )


# A matrix, asked by its commands ------------------------------------------------------------------


def asked(task: str, *words: str, conf: Path, outputs: Path) -> chaotic.Answer:
    """Ask a task about the matrix; a mistake is a message, whatever was done to the files."""
    named = () if task in ("status", "verify") else ("three",)
    if task in ("show", "report"):
        named = (words[0],)
        words = words[1:]
    config = () if task in ("show", "report", "status", "diff") else ("--config-dir", str(conf))
    answer = chaotic.asked(task, *named, *words, *config, "--outputs", str(outputs))
    assert answer.code in (0, 1), answer
    return answer


def assert_no_wrong_number(conf: Path, outputs: Path) -> None:
    """Hold the table against what the cells computed; what is missing is said to be."""
    answer = asked("table", "--json", conf=conf, outputs=outputs)
    if answer.code == 0:
        for row in files.json.loads(answer.out)["rows"]:
            value = row["values"]["value"]
            right = RIGHT[row["point"]["dry.value"]]
            assert value["mean"] == (right if row["present"] else None), answer.out


def assert_questions_are_answered(conf: Path, outputs: Path, name: str) -> None:
    """Ask everything that a person would."""
    for task in ("status", "plan", "why"):
        asked(task, conf=conf, outputs=outputs)
    asked("show", name, conf=conf, outputs=outputs)
    assert_no_wrong_number(conf, outputs)


def assert_only_right_numbers_are_promoted(conf: Path, outputs: Path) -> None:
    """Promote, and hold what is claimed against what the cells computed."""
    answer = asked("promote", conf=conf, outputs=outputs)
    if answer.code == 0:
        record = files.read_json(outputs / folders.PROMOTIONS / "three.json")
        for row in record["runs"]:
            (value,) = (one["value"] for one in row["metrics"] if one["name"] == "value")
            assert value == RIGHT[row["cell"]["dry.value"]]


def assert_tampering_is_seen(conf: Path, outputs: Path, victim: Run, name: str) -> None:
    """Verify, ask, promote, and run once more."""
    seen = views.verified(victim)
    if name != run_files.RECORD:  # which is written after the manifest, and is in none
        assert seen["result"] == "FAIL", seen
        assert asked("verify", conf=conf, outputs=outputs).code == 1
    assert_questions_are_answered(conf, outputs, victim.folder.name)
    assert_only_right_numbers_are_promoted(conf, outputs)
    again = chaotic.ran("--config-dir", str(conf), "matrix=three", f"outputs={outputs}")
    assert again.code in (0, 1), again
    # Nor does a runner that comes by make a tampered file a proven one.
    assert_no_wrong_number(conf, outputs)
    assert seen["result"] == "PASS" or views.verified(victim)["result"] != "PASS" or (
        victim.metrics() == {"value": 1.0, "value_squared": 1.0, "seed": 0}
    )  # fmt: skip


@pytest.mark.slow
def test_every_file_of_a_run_tampered_with_in_every_way_is_seen(
    chaos: Chaos, tmp_path: Path
) -> None:
    conf = running.write_matrix(tmp_path, "three", MATRIX)
    made = tmp_path / "made"
    assert chaotic.ran("--config-dir", str(conf), "matrix=three", f"outputs={made}").code == 0
    cells = requests.read(["matrix=three"], config_dir=conf).cells
    mine, other = (store.find(made, "dry", cell.job.id) for cell in cells[:2])
    every = list(itertools.product(files_of(mine), WAYS))
    for name, way in chaos.sample(every, short=6):
        outputs = tmp_path / "outputs"
        shutil.rmtree(outputs, ignore_errors=True)
        shutil.copytree(made, outputs)
        victim, neighbour = (outputs / "dry" / run.folder.name for run in (mine, other))
        if not tamper(victim / name, way, neighbour / name):
            continue
        print(f"{name}: {way}")
        assert_tampering_is_seen(conf, outputs, Run(victim), name)
        chaos.tally["tamperings"] += 1


# A run with weights, dumps and a bundle of tables -------------------------------------------------


def numbers_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every number of a document with the keys that lead to it."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from numbers_in(inner, (*path, key))
    elif isinstance(value, int | float):
        yield (*path, value)


@pytest.mark.slow
def test_every_file_of_an_asr_run_tampered_with_in_every_way_is_seen(
    chaos: Chaos, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    matrix = bundle_runs.matrix()
    cells = bundle_runs.cells(matrix)
    runs = [bundle_runs.finish(made, cell, rows=24) for cell in cells]
    whole = [*numbers_in(bundle.build(matrix, cells, made))]
    shutil.copytree(made, tmp_path / "lacking")
    shutil.rmtree(tmp_path / "lacking" / "asr" / runs[0].folder.name)
    lacking = [*numbers_in(bundle.build(matrix, cells, tmp_path / "lacking"))]
    every = list(itertools.product(files_of(runs[0]), WAYS))
    for name, way in chaos.sample(every, short=10):
        outputs = tmp_path / "outputs"
        shutil.rmtree(outputs, ignore_errors=True)
        shutil.copytree(made, outputs)
        victim, neighbour = (outputs / "asr" / run.folder.name for run in runs[:2])
        if not tamper(victim / name, way, neighbour / name):
            continue
        print(f"{name}: {way}")
        if name != run_files.RECORD:
            assert views.verified(Run(victim))["result"] == "FAIL"
            with pytest.raises(ThunderError):
                promotion.of_matrix(matrix, cells, outputs)
        shown: list[Any] = []

        def build(outputs: Path = outputs, shown: list[Any] = shown) -> None:
            shown += numbers_in(bundle.build(matrix, cells, outputs))

        refusal = chaotic.refusal_of(build)
        assert shown in (whole, lacking) if refusal is None else victim.name in refusal
        assert chaotic.asked("status", "--outputs", str(outputs)).code in (0, 1)
        chaos.tally["tamperings"] += 1


# A run that is paused -----------------------------------------------------------------------------


@pytest.fixture
def paused(tmp_path: Path) -> Run:
    """A run of an adapter in its first window, as its runner leaves it; nothing was trained."""
    words = ["+profile=smoke", "window=2", f"outputs={tmp_path / 'outputs'}"]
    (cell,) = requests.read(words).cells
    run = store.find(tmp_path / "outputs", cell.job.kind, cell.job.id)
    record = attempts.start(run, cell.job, provenance.collect())
    for step in (1, 2):
        files.append_jsonl(run.folder / run_files.ROWS, {"step": step, "valid_loss": 6.0 - step})
    attempts.finish(run, record, {"metrics": {"valid_loss": 4.0}, "step": 2}, 1.0)
    assert run.status() == "paused"
    return run


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_row_added_to_a_paused_run_for_a_step_that_was_verified_is_seen(
    chaos: Chaos, paused: Run, step: int
) -> None:
    files.append_jsonl(paused.folder / run_files.ROWS, {"step": step, "valid_loss": 0.001})
    assert views.verified(paused)["result"] == "FAIL"
    assert paused.at_step(2)["valid_loss"] == 4.0
    outputs = paused.folder.parent.parent
    again = chaotic.ran("+profile=smoke", "window=2", f"outputs={outputs}")
    assert again.code in (0, 1)  # reached, or refused; nothing is trained
    assert paused.at_step(2)["valid_loss"] == 4.0
    chaos.tally["tamperings"] += 1


@pytest.mark.parametrize("step", [3, 4])
def test_a_row_added_to_a_paused_run_for_a_step_to_come_is_not_believed(
    chaos: Chaos, paused: Run, step: int
) -> None:
    files.append_jsonl(paused.folder / run_files.ROWS, {"step": step, "valid_loss": 0.001})
    assert paused.at_step(step) == {}
    (cell,) = requests.read(["+profile=smoke", f"window={step}"]).cells
    matrix = bundle_runs.matrix(
        "windows", table={"metrics": ["valid_loss"]}, axes={"window": [step]}
    )
    (row,) = summary.build(matrix, [cell], paused.folder.parent.parent)["rows"]
    assert (row["present"], row["values"]["valid_loss"]["mean"]) == (0, None)
    chaos.tally["tamperings"] += 1
