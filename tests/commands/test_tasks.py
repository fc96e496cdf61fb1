"""Every task of the `thunder` command: text, JSON, exit codes, and mistakes as one message."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import running
from projects import Project

from thunder.commands import cli, collection, launch, requests, tasks
from thunder.config import sources
from thunder.ground import files, run_files
from thunder.jobs import matrix, matrix_file
from thunder.jobs.kinds import KINDS
from thunder.runs import attempts, explain, provenance, store
from thunder.runs.run import Run

PYTHON = os.path.realpath(sys.executable)
TASKS = {
    "check", "corpus", "diff", "doctor", "hosts", "plan", "report", "show", "status", "table",
    "verify", "why",
}  # fmt: skip


class Outputs:
    """A folder of outputs and the tasks asked about it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def ask(self, *words: str, code: int = 0) -> str:
        """Run a task that is expected to end so; return what it printed."""
        found = tasks.main([*words, "--outputs", str(self.folder)])
        captured = self.capsys.readouterr()
        assert found == code, captured.err
        assert code or captured.err == ""
        return captured.out if not code or captured.out else captured.err

    def json(self, *words: str, code: int = 0) -> Any:
        """Run a task with --json and read what it printed."""
        return json.loads(self.ask(*words, "--json", code=code))

    def mistake(self, *words: str) -> str:
        """Run a task with a user's mistake in it; return the message."""
        found = tasks.main([*words, "--outputs", str(self.folder)])
        captured = self.capsys.readouterr()
        assert (found, captured.out) == (1, "")
        assert captured.err.startswith("thunder: ")
        assert "Traceback" not in captured.err
        return captured.err


@pytest.fixture
def outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Outputs:
    """Return outputs with one run that is done and one that failed."""
    running.here("+profile=dry", f"outputs={tmp_path}")
    running.here("+profile=dry", "dry.fail=true", "seed=4", f"outputs={tmp_path}")
    capsys.readouterr()
    return Outputs(tmp_path, capsys)


def done_id(outputs: Outputs) -> str:
    """Return the id of the run that is done."""
    return next(run.id for run in store.all_runs(outputs.folder) if run.status() == "done")


def failed_id(outputs: Outputs) -> str:
    """Return the id of the run that failed."""
    return next(run.id for run in store.all_runs(outputs.folder) if run.status() == "failed")


# The command itself -----------------------------------------------------------------------------


def test_thunder_alone_lists_all_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks.main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in TASKS)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_and_every_option_has_a_help_text(name: str) -> None:
    # Invoke tells it once.
    code = "import sys; from thunder.commands.tasks import main; sys.exit(main())"
    flag = "-h" if name == "show" else "--help"
    done = subprocess.run([sys.executable, "-c", code, name, flag], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"Docstring:\n  [A-Z]", done.stdout)
    options = [line for line in done.stdout.splitlines() if line.startswith("  --")]
    assert [line for line in options if not re.match(r"  --\S+ {2,}\w", line)] == []


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks.main(["--version"]) == 0
    assert capsys.readouterr().out.lower().startswith("thunder ")


@pytest.mark.slow
def test_inv_in_the_repository_lists_the_same_tasks() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "invoke", "--list"],
        capture_output=True, text=True, cwd=Path(tasks.__file__).parents[3], check=True,
    )  # fmt: skip
    names = {line.split()[0] for line in listed.stdout.splitlines() if line.startswith("  ")}
    assert names >= TASKS


def test_an_unknown_task_names_the_nearest(outputs: Outputs) -> None:
    assert "no task 'statsu' (did you mean 'status'?); tasks: attach, check," in outputs.mistake(
        "statsu"
    )


def test_a_word_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks.main(["diff", "abc"]) == 1
    assert "diff needs SECOND; usage: thunder diff FIRST SECOND" in capsys.readouterr().err


def test_a_word_too_many_is_named(outputs: Outputs) -> None:
    assert "status: 'more' is one word too many" in outputs.mistake("status", "dry", "more")


def test_an_unknown_option_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks.main(["status", "--oops"]) == 1
    captured = capsys.readouterr()
    assert "--oops" in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("task", sorted(t.name for t in tasks.TASKS if "--outputs" in t.options))
def test_outputs_that_are_no_folder_are_refused_by_every_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    needed = {t.name: t.needed for t in tasks.TASKS}[task]
    for name in ("file", "link", "file/below"):
        told = Outputs(tmp_path / name, capsys).mistake(task, *["dry"] * len(needed))
        assert told.startswith(f"thunder: {tmp_path / name.partition('/')[0]}: a ")
        assert told.count("\n") == 1
        assert "outputs need a folder: " in told


@pytest.mark.slow
def test_a_reader_that_leaves_early_gets_no_traceback(outputs: Outputs) -> None:
    read, write = os.pipe()
    os.close(read)
    code = "import sys; from thunder.commands.tasks import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "status", "--outputs", str(outputs.folder)],
        stdout=write, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.slow
def test_status_loads_neither_numpy_nor_mlx_nor_hydra(outputs: Outputs) -> None:
    code = (
        "import sys; from thunder.commands.tasks import main; main()\n"
        "print({'mlx', 'numpy', 'hydra', 'omegaconf', 'datasets'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "status", "--outputs", str(outputs.folder)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.endswith("set()\n")


# plan, status, why ------------------------------------------------------------------------------


def test_status_shows_every_run_and_counts_them(outputs: Outputs) -> None:
    shown = outputs.ask("status")
    assert f"{done_id(outputs)}  dry   dry   done" in shown
    assert f"2 runs in {outputs.folder}" in shown
    rows = outputs.json("status")
    assert {row["status"] for row in rows} == {"done", "failed"}
    assert {row["folder"] for row in rows} == {
        str(run.folder) for run in store.all_runs(outputs.folder)
    }


def test_one_run_is_not_called_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running.here("+profile=dry", f"outputs={tmp_path}")
    capsys.readouterr()
    one = Outputs(tmp_path, capsys)
    assert f"1 run in {tmp_path}" in one.ask("status")
    assert "dry: 1 cell, 1 run: 1 reached" in one.ask("status", "dry")


def test_status_of_a_profile_takes_overrides_as_plain_words(outputs: Outputs) -> None:
    assert outputs.json("status", "dry", "seed=4", "dry.fail=true")[0]["status"] == "failed"
    assert outputs.json("status", "dry", "--set", "seed=5")[0]["status"] == "planned"
    assert outputs.json("status", "--name=dry")[0]["status"] == "done"


def test_status_marks_stand_ins_as_tables_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = requests.read(["+profile=smoke", "window=2"]).cells[0].job
    run = Run(tmp_path / job.kind / job.id)
    attempts.start(run, job, provenance.collect())
    outputs = Outputs(tmp_path, capsys)
    told = outputs.ask("status").splitlines()
    assert told[2] == f"{run.id}  adapter  smoke †  lost    step 0 of 4"
    assert told[-1].startswith("† stand-in model or data: ")
    running.here("+profile=dry", f"outputs={tmp_path / 'real'}")
    capsys.readouterr()
    assert "†" not in Outputs(tmp_path / "real", capsys).ask("status")
    assert "step 0 → 2 of 4, a window\n" in outputs.ask("show", run.id)


def test_a_lost_run_is_shown_as_lost(outputs: Outputs) -> None:
    run = store.by_prefix(outputs.folder, done_id(outputs))
    record = run.record()
    attempt = {**record["attempts"][-1], "status": "running", "ended": None}
    files.write_json(
        run.folder / "run.json", {**record, "status": "running", "attempts": [attempt]}
    )
    assert f"{run.id}  dry   dry   lost" in outputs.ask("status")
    assert f"dry {run.id}  lost" in outputs.ask("show", run.id)
    assert "  lost\n" in outputs.ask("show", run.id)


def test_a_run_with_a_broken_record_hides_no_other(outputs: Outputs) -> None:
    run = store.by_prefix(outputs.folder, failed_id(outputs))
    (run.folder / "run.json").write_text("{")
    shown = outputs.ask("status")
    assert f"{run.id}  dry         unreadable" in shown
    assert "run.json: cannot be read" in shown
    assert "done" in shown
    assert {row["status"] for row in outputs.json("status")} == {"done", "unreadable"}
    assert f"{run.id}  FAIL" in outputs.ask("verify", code=1)


def test_plan_of_a_profile_and_of_a_matrix_have_one_shape(outputs: Outputs) -> None:
    one = outputs.json("plan", "dry")
    many = outputs.json("plan", "adapter_rank")
    assert set(one) == set(many) == {"name", "cells", "changes"}
    assert set(one["cells"][0]) == set(many["cells"][0])
    assert len(many["cells"]) == 9
    assert len(many["changes"]["added"]) == 9


def test_plan_shows_what_would_run(outputs: Outputs) -> None:
    assert f"dry {done_id(outputs)}  {outputs.folder}" in outputs.ask("plan", "dry")
    shown = outputs.ask("plan", "adapter_rank")
    assert "adapter.rank=4 seed=0 [stand-in]  adapter" in shown
    assert "step 0 → 30 of " in shown
    assert "adapter_rank: 9 cells, 9 runs: 0 reached, 9 planned" in shown
    assert "since the last plan: 9 added" in shown
    assert shown.count("adapter.rank=4 seed=0") == 1


def test_plan_tells_what_an_edit_orphans(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = Outputs(tmp_path / "out", capsys)
    text = "# ?\nprofile: dry\naxes:\n  seed: [1, 2]\n"
    conf = str(running.write_matrix(tmp_path, "mine", text))
    words = ["matrix=mine", f"outputs={outputs.folder}"]
    assert launch.run(requests.read(words, config_dir=Path(conf))) == 0
    capsys.readouterr()
    running.write_matrix(tmp_path, "mine", text.replace("1, 2", "2, 3"))
    shown = outputs.ask("plan", "mine", "--config-dir", conf)
    assert "since the last plan: 1 added" in shown
    assert "since the last plan: 1 kept" in shown
    assert "since the last plan: 1 orphaned" in shown
    assert "seed=1" in shown.partition("orphaned")[2]
    assert "seed=3" in shown.partition("1 added")[2].partition("1 kept")[0]


def test_why_names_the_key_and_what_set_it(outputs: Outputs) -> None:
    assert "a run of it exists (done)" in outputs.ask("why", "dry")
    shown = outputs.ask("why", "dry", "dry.value=3")
    assert f"new; the nearest run is {done_id(outputs)}" in shown
    assert "dry.value: 1 → 3  (command line 'dry.value=3')" in shown
    (reason,) = outputs.json("why", "dry", "dry.value=3")
    assert reason["nearest"] == done_id(outputs)
    assert [row["key"] for row in reason["keys"]] == ["dry.value"]


def test_why_without_any_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no run of kind dry yet" in Outputs(tmp_path, capsys).ask("why", "dry")


def test_why_is_not_stopped_by_a_run_that_drifted(outputs: Outputs) -> None:
    run = store.by_prefix(outputs.folder, failed_id(outputs))
    (run.folder / "config.json").write_text("{}")
    assert f"the nearest run is {done_id(outputs)}" in outputs.ask("why", "dry", "seed=8")


def test_why_takes_of_runs_as_near_one_of_the_profile_and_the_newest(tmp_path: Path) -> None:
    cell = requests.read(["+profile=dry", "seed=9"]).cells[0]
    runs = []
    for seed, profile, day in ((1, "other", 4), (2, "dry", 1), (3, "dry", 3), (4, "dry", 2)):
        job = requests.read(["+profile=dry", f"seed={seed}"]).cells[0].job
        run = Run(tmp_path / job.kind / job.id)
        record = attempts.start(run, job, provenance.collect())
        record["attempts"][0]["started"] = f"2026-01-0{day}T00:00:00+00:00"
        attempts.write_record(run, {**record, "profile": profile})
        runs.append(run)

    def nearest() -> Run | None:
        words = (requests.read(["+profile=dry"]).words, sources.sources())
        return explain.why([cell], None, *words, tmp_path)[0].nearest

    assert nearest() == runs[2]
    for run in runs[1:]:
        (run.folder / run_files.RECORD).write_text("{")
    assert nearest() == runs[0]


def test_a_misspelt_override_is_named(outputs: Outputs) -> None:
    assert "dry.valeu" in outputs.mistake("status", "dry", "dry.valeu=3")


def test_a_name_of_nothing_names_the_nearest(outputs: Outputs) -> None:
    for task in ("plan", "status", "why", "verify", "table"):
        assert "did you mean 'adapter_rank'?" in outputs.mistake(task, "adapter_rnk")


# show, diff, verify, report ---------------------------------------------------------------------


def test_show_tells_what_when_where_and_how(outputs: Outputs) -> None:
    shown = outputs.ask("show", done_id(outputs)[:6])
    for line in (
        f"dry {done_id(outputs)}  done",
        f"folder   {outputs.folder}",
        "command  ",
        "code     ",
        "attempt  1  ",
        "value          1",
        "  sleep_seconds: 0",
    ):
        assert line in shown
    found = outputs.json("show", done_id(outputs))
    assert set(found) == {"record", "config", "metrics", "folder"}
    assert found["metrics"]["value"] == 1


def test_numbers_are_shown_to_as_many_digits_as_can_be_meant(outputs: Outputs) -> None:
    run = store.by_prefix(outputs.folder, done_id(outputs))
    metrics = {"loss": 6.191336154937744, "rate": 1234567.8, "rows": 46080, "value": None}
    files.write_json(run.folder / run_files.METRICS, metrics)
    shown = outputs.ask("show", run.id).partition("metric")[2]
    rows = dict(line.split() for line in shown.splitlines()[2:6])
    assert rows == {"loss": "6.19134", "rate": "1234568", "rows": "46080", "value": "null"}
    assert outputs.json("show", run.id)["metrics"] == metrics


def test_show_tells_how_a_failure_is_made_again(outputs: Outputs) -> None:
    shown = outputs.ask("show", failed_id(outputs))
    assert "training: the job was asked to fail (dry.fail=true)" in shown
    assert "again    python -m thunder +profile=dry" in shown


def test_diff_shows_the_keys_in_which_two_runs_differ(outputs: Outputs) -> None:
    pair = [done_id(outputs), failed_id(outputs)]
    assert outputs.json("diff", *pair) == [
        {"key": "dry.fail", "first": False, "second": True},
        {"key": "seed", "first": 0, "second": 4},
    ]
    assert "dry.fail  false" in outputs.ask("diff", *pair)
    assert "the two runs are of one job" in outputs.ask("diff", pair[0], pair[0])
    assert "no run 'zzz'" in outputs.mistake("diff", pair[0], "zzz")


def test_diff_for_scripts_leaves_out_the_side_that_lacks_a_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = []
    for profile in ("dry", "smoke"):
        job = requests.read([f"+profile={profile}"]).cells[0].job
        run = Run(tmp_path / job.kind / job.id)
        files.write_json(run.folder / run_files.CONFIG, job.document)
        files.write_json(run.folder / run_files.RECORD, {})
        ids.append(job.id)
    assert tasks.main(["diff", *ids, "--json", "--outputs", str(tmp_path)]) == 0
    rows = {row.pop("key"): row for row in json.loads(capsys.readouterr().out)}
    assert rows["dry.value"] == {"first": 1}
    assert rows["train.steps"] == {"second": 4}
    assert rows["kind"] == {"first": "dry", "second": "adapter"}


def test_verify_proves_runs_and_finds_what_changed(outputs: Outputs) -> None:
    shown = outputs.ask("verify")
    assert f"{done_id(outputs)}  PASS" in shown
    assert f"{failed_id(outputs)}  SKIPPED  the run is failed" in shown
    assert "1 of 2 runs proven, 0 not what they should be" in shown
    path = store.by_prefix(outputs.folder, done_id(outputs)).folder / "metrics.json"
    path.write_text("{}")
    assert "metrics.json: 2 bytes, the manifest has" in outputs.ask("verify", code=1)
    (row,) = outputs.json("verify", done_id(outputs), code=1)
    assert (row["result"], len(row["faults"])) == ("FAIL", 1)


def test_what_cannot_be_proven_does_not_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "0 of 0 runs proven" in Outputs(tmp_path, capsys).ask("verify", code=1)


def test_verify_takes_a_profile(outputs: Outputs) -> None:
    assert "1 of 1 run proven" in outputs.ask("verify", "dry")


def test_report_prints_the_report_or_says_there_is_none(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store.by_prefix(outputs.folder, done_id(outputs)).folder
    said = outputs.mistake("report", done_id(outputs))
    assert f"{folder}: no report; the run is done" in said
    monkeypatch.setitem(KINDS, "dry", replace(KINDS["dry"], report="told.md"))
    said = outputs.mistake("report", done_id(outputs))
    assert f"{folder / 'told.md'}: no report; the run is done" in said
    (folder / "told.md").write_text("# ߒߞߏ\n", encoding="utf-8")
    (folder / "told.json").write_text('{"step": 10}\n')
    assert outputs.ask("report", done_id(outputs)) == "# ߒߞߏ\n"
    assert outputs.json("report", done_id(outputs)) == {"step": 10}


# doctor, check, corpus --------------------------------------------------------------------------


@pytest.mark.slow
def test_doctor_says_what_is_installed_and_what_each_site_has(outputs: Outputs) -> None:
    found = outputs.json("doctor")
    keys = {"python", "host", "packages", "backend", "outputs", "sites", "hosts", "surveys"}
    assert set(found) == keys
    assert found["packages"]["mlx"]
    assert found["sites"]["local"] == []
    assert found["sites"]["mac_pair"]
    told = "described; thunder hosts --site mac_pair asks it"
    assert (found["hosts"], found["surveys"]) == ({"mac_pair": {"mac4": told, "mac5": told}}, {})
    assert "site local" in outputs.ask("doctor")


def test_doctor_survives_a_backend_that_does_not_answer(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thunder.commands import doctor

    for code in ("import sys; sys.exit(7)", "print('no JSON')"):
        monkeypatch.setattr(doctor.sys, "executable", _stub(outputs.folder, code))
        assert "fault" in outputs.json("doctor")["backend"]


def _stub(folder: Path, code: str) -> str:
    """Return a program that ignores its words and runs some Python."""
    path = folder / "python-stub"
    path.write_text(f"#!{PYTHON}\n{code}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.slow
def test_check_passes_on_all_that_is_committed(outputs: Outputs) -> None:
    shown = outputs.ask("check")
    assert "FAIL" not in shown
    assert "ok    dry (1 cell)" in shown


@pytest.mark.slow
def test_check_fails_on_a_broken_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = running.write_matrix(tmp_path, "fine", "# ?\nprofile: own_fine\naxes: {seed: [1]}\n")
    files.write_text(conf / "profile" / "broken.yaml", "# @package _global_\nkind: dyr\n")
    shown = Outputs(tmp_path / "out", capsys).ask("check", "--config-dir", str(conf), code=1)
    assert "FAIL  broken" in shown
    assert "'dyr' is not a kind" in shown
    assert "ok    own_fine (1 cell)" in shown


def test_a_folder_of_configs_that_is_not_there_is_one_message(outputs: Outputs) -> None:
    assert "no such folder" in outputs.mistake("plan", "dry", "--config-dir", "/nowhere")


def test_corpus_names_what_was_dropped_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        f'{{"text": "an ka taa sugu la {chr(97 + i % 26)}{i // 26 * "a"}"}}\n' for i in range(300)
    ]
    (tmp_path / "own.jsonl").write_text("".join([*lines, lines[0]]))
    call = ["corpus", "build", f"{tmp_path}/x/../new", "--script", "latin"]
    assert tasks.main([*call, "--source", str(tmp_path / "own.jsonl")]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{tmp_path / 'new'}: ")
    assert "dropped 1: " in said
    assert "dropped 0" not in said


def test_corpus_knows_one_action(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks.main(["corpus", "bild", str(tmp_path / "new")]) == 1
    assert "'bild': not an action; actions: build" in capsys.readouterr().err
    assert tasks.main(["corpus", "build", str(tmp_path)]) == 1
    assert "a corpus is never built over another" in capsys.readouterr().err


def test_words_become_the_arguments_of_a_task() -> None:
    (status,) = (task for task in tasks.TASKS if task.name == "status")
    given = ["name", "a.b=1", "--outputs", "x=y", "+c=2", "--json"]
    wanted = {"name": "name", "set": ["a.b=1", "+c=2"], "outputs": "x=y", "json": True}
    assert cli._arguments(status, given) == wanted


def test_options_stand_for_the_first_words_as_well() -> None:
    (diff,) = (task for task in tasks.TASKS if task.name == "diff")
    assert cli._arguments(diff, ["--second=b", "a"]) == {"first": "a", "second": "b"}
    assert cli._arguments(diff, ["b", "--first", "a"]) == {"first": "a", "second": "b"}


def test_a_switch_takes_no_value(outputs: Outputs) -> None:
    assert "status: '--json=yes': --json takes no value" in outputs.mistake("status", "--json=yes")


@pytest.mark.slow
def test_every_committed_matrix_has_a_plan(outputs: Outputs) -> None:
    for name in matrix_file.names(sources.sources(None)):
        assert outputs.json("plan", name)["cells"]


# Part of a matrix, and another than it -------------------------------------------------------


QUESTION = "profile: dry\naxes: {seed: [0, 1], dry.value: [1, 2]}\ntable: {metrics: [value]}\n"


@pytest.fixture
def asked(project: Project, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Ask a task about a project whose matrix is `question`."""
    project.matrix(QUESTION)

    def ask(*words: str, code: int = 0) -> str:
        found = tasks.main([*words, "--config-dir", "conf"])
        captured = capsys.readouterr()
        assert found == code, captured.err
        return captured.err if code else captured.out

    return ask


def test_words_for_axes_choose_cells(project: Project, asked: Callable[..., str]) -> None:
    assert [row["cell"]["seed"] for row in json.loads(asked("why", "question", "seed=1", "--json"))
            ] == [1, 1]  # fmt: skip
    assert len(json.loads(asked("status", "question", "seed=0", "dry.value=2", "--json"))) == 1
    assert len(json.loads(asked("status", "question", "seed=0,1", "--json"))) == 4
    said = asked("plan", "question", "seed=1")
    assert "not compared with the last plan: with these words" in said
    assert not (project.root / "outputs").exists()
    assert "'question' has no cell with seed=9" in asked("plan", "question", "seed=9", code=1)


def test_words_for_axes_choose_cells_of_a_kept_sweep(
    project: Project, asked: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert running.here("+profile=dry", "seed=1,2", sweep=True) == 0
    capsys.readouterr()
    name = next((project.root / "outputs" / "plans").iterdir()).stem
    assert f"{name}: 2 cells" in asked("status", name)
    assert [row["cell"] for row in json.loads(asked("status", name, "seed=2", "--json"))] == [
        {"seed": 2}
    ]


def test_other_words_are_not_compared_with_the_last_plan(asked: Callable[..., str]) -> None:
    said = asked("plan", "question", "dry.sleep_seconds=0.1")
    assert "with the last plan: with these words the cells are not those of the matrix" in said
    assert "since the last plan" not in said
    assert "since the last plan: 4 added" in asked("plan", "question", "jobs=2")


def test_other_words_show_a_table_and_write_none(
    project: Project, asked: Callable[..., str]
) -> None:
    assert "written  outputs/tables/question.md" in asked("table", "question")
    path = project.root / "outputs" / "tables" / "question.md"
    path.write_text("kept")
    assert "not written: with these words" in asked("table", "question", "dry.sleep_seconds=0.1")
    assert path.read_text() == "kept"
    said = asked("table", "question", "dry.sleep_seconds=0.1", "--check", code=1)
    assert said.startswith("thunder: --check: with these words")


def test_a_name_of_two_things_is_refused(project: Project, asked: Callable[..., str]) -> None:
    project.matrix(QUESTION, "mine")
    for words in (["plan", "mine"], ["table", "mine"], ["verify", "mine"]):
        assert "'mine' is a profile and a matrix" in asked(*words, code=1)


# Where runs are ------------------------------------------------------------------------------


def test_the_outputs_of_this_machine_are_the_default(
    project: Project, asked: Callable[..., str]
) -> None:
    project.write("conf/local.yaml", "runtime: {outputs: elsewhere}\n")
    folder = project.root / "elsewhere"
    assert asked("status") == f"no runs: there is no folder {folder} yet\n"
    assert json.loads(asked("status", "--json")) == []
    assert running.here("+profile=dry", f"outputs={folder}") == 0
    assert f"1 run in {folder}" in asked("status")
    run = store.all_runs(folder)[0].id
    for words in (["show", run], ["diff", run, run], ["verify"], ["plan", "dry"]):
        assert asked(*words)
    assert not (project.root / "outputs").exists()


def test_a_command_that_is_printed_asks_where_the_runs_are(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = project.root / "elsewhere"
    project.write("conf/local.yaml", f"runtime: {{outputs: {elsewhere}}}\n")
    project.matrix("# ?\nprofile: dry\naxes: {seed: [1]}\nset: {dry.fail: true}\n")
    for words, where in (([], ""), (["outputs=outputs"], "--outputs outputs ")):
        request = project.read("matrix=question", *words)
        assert launch.run(request) == 1
        asked = f"(thunder show {request.cells[0].job.id} {where}--config-dir {project.conf})"
        assert asked in capsys.readouterr().out


def test_a_folder_at_home_and_one_without_a_name(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(outputs.folder.parent))
    assert tasks.main(["status", f"--outputs=~/{outputs.folder.name}"]) == 0
    assert f"2 runs in {outputs.folder}" in outputs.capsys.readouterr().out
    assert tasks.main(["status", "--outputs="]) == 1
    assert "--outputs: a value is needed after it" in outputs.capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["status", "--output", "o"], "status: no option '--output' (did you mean '--outputs'?)"),
        (["status", "--outputs"], "status: --outputs: a value is needed after it"),
        (["--verson"], "--verson: not an option before a task (did you mean '--version'?)"),
        (["corpus", "build", "x", "--seed", "y"], "corpus: --seed: 'y' is not an integer"),
    ],
)
def test_a_mistake_in_the_options_is_told(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert tasks.main(words) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"thunder: {message}")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("task", sorted(TASKS - {"check", "doctor", "corpus", "hosts"}))
def test_an_empty_word_is_no_name_and_no_beginning_of_an_id(outputs: Outputs, task: str) -> None:
    assert f"{task}: an empty word stands for nothing; usage: thunder {task}" in outputs.mistake(
        task, "", *([""] if task == "diff" else [])
    )
    assert "a value is needed after it" in outputs.mistake("status", "--config-dir", "")


@pytest.mark.parametrize("name", ["../../evil", "/evil", "..", "a/b", "a\\b"])
def test_no_name_leads_out_of_its_folder(outputs: Outputs, name: str) -> None:
    for task in ("plan", "status", "why", "table", "verify", "promote"):
        message = outputs.mistake(task, name)
        assert f"a matrix, a profile or a kept plan: {name!r}: a name is needed, not a" in message
    for task in ("show", "report", "errors"):
        assert f"no run {name!r} in {outputs.folder}" in outputs.mistake(task, name)
    assert f"no run {name!r}" in outputs.mistake("diff", name, name)
    assert {path.name for path in outputs.folder.iterdir()} == {"dry"}


def test_inv_takes_no_empty_word_for_an_id(outputs: Outputs) -> None:
    for task in ("show", "report"):
        assert collection.run(tasks.TASKS, [task, "", f"--outputs={outputs.folder}"]) == 1
        assert "an id is needed, or the beginning of one" in outputs.capsys.readouterr().err


@pytest.mark.parametrize("depth", [900, 100_000])
@pytest.mark.parametrize("name", ["run.json", "config.json", "metrics.json", "manifest.json"])
def test_a_record_that_is_nested_too_deep_ends_no_question(
    outputs: Outputs, name: str, depth: int
) -> None:
    run = done_id(outputs)
    path = store.by_prefix(outputs.folder, run).folder / name
    path.write_text(path.read_text().replace("{", '{"x": ' + "[" * depth + "]" * depth + ",", 1))
    for words in (["status"], ["show", run], ["verify"], ["why", "dry"], ["promote", run],
                  ["report", run], ["diff", run, failed_id(outputs)], ["plan", "dry"]):  # fmt: skip
        code = tasks.main([*words, "--outputs", str(outputs.folder)])
        said = outputs.capsys.readouterr()
        assert code in (0, 1)
        assert "Recursion" not in said.out + said.err
    assert "FAIL" in outputs.ask("verify", code=1) or name == "metrics.json"


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "thunder", "+profile=dry"], ["-m", "thunder", "--help"],
        ["-c", "import sys; from thunder.commands.tasks import main; sys.exit(main(['status']))"],
    ],
)  # fmt: skip
def test_a_working_folder_that_was_removed_is_told(tmp_path: Path, words: list[str]) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(folder), sys.executable, *words],
        text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"thunder: the working folder was removed ({folder}); go to one that is there: cd FOLDER\n"
    )


def test_plan_and_why_without_a_name_ask_for_a_profile(asked: Callable[..., str]) -> None:
    for task in ("plan", "why"):
        assert asked(task, code=1).startswith(
            "thunder: nothing can run:\n  no profile is chosen: add +profile=NAME"
        )


# Why -----------------------------------------------------------------------------------------


def test_why_names_the_word_behind_a_reference_and_what_is_filled_in() -> None:
    request = requests.read(["+profile=smoke", "runtime.site.models.gemma4_e2b.hidden=32"])
    origins = matrix.origins_of(request.cells[0], None, request.words, request.places)
    place = explain.place_of("model.source.hidden", 64, origins)
    assert place == "command line 'runtime.site.models.gemma4_e2b.hidden=32'"
    digest = "0" * 64
    said = explain.place_of("model.source.builder", digest, origins)
    assert said == "code or words of the recipe"
    assert explain.place_of("data.source.digest", digest, origins) == "content of the folder"
    assert explain.place_of("revision", 1, origins) == "code: the kind's revision"
    said = explain.place_of("needs.asr_features", "37f577d9179d", origins)
    assert said == "follows from what asr_features is made of"


def test_doctor_names_each_thing_a_site_lacks_once(outputs: Outputs) -> None:
    faults = outputs.json("doctor")["sites"]["mac_pair"]
    assert [fault.split(":")[0] for fault in faults] == [
        "model 'gemma4_e2b'", "data 'partial_real'", "data 'synthetic_2k'",
    ]  # fmt: skip
