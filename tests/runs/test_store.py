"""Run folders: what lies in them, who owns them, and what a crash leaves."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import running

from thunder.commands import requests
from thunder.ground import files, run_files
from thunder.ground.errors import Faults, ThunderError
from thunder.jobs.job import Job
from thunder.runs import attempts, lock, manifest, provenance, store
from thunder.runs.run import ABSENT, Run, differences

# Kills the process at the n-th rename, before or after it happened.
CRASHING = """
import os, signal, sys
from thunder.ground import files
from thunder.runs import provenance
number, when = int(sys.argv.pop(1)), sys.argv.pop(1)
replace, count = os.replace, 0
def crash(source, target):
    global count
    count += 1
    if count == number and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
    if count == number:
        os.kill(os.getpid(), signal.SIGKILL)
files.os.replace = crash
# A tree with uncommitted changes would write one file more.
provenance.changes = lambda: b""
from thunder.__main__ import main
sys.exit(main())
"""
# config.json, run.json (running), metrics.json, manifest.json, run.json (done)
WRITES = 5


@pytest.fixture
def done(tmp_path: Path) -> Run:
    """Return a dry run that is done."""
    assert running.here("+profile=dry", f"outputs={tmp_path}") == 0
    return running.only_run(tmp_path)


def job_of(outputs: Path, *words: str) -> Job:
    """Return the job of a dry command line."""
    return requests.read(["+profile=dry", f"outputs={outputs}", *words]).cells[0].job


def edit(path: Path, **keys: Any) -> None:
    """Change keys of a JSON file, as a careless hand does."""
    files.write_json(path, {**files.read_json(path), **keys})


def test_a_dry_run_leaves_these_files_and_no_others(done: Run) -> None:
    assert running.names_in(done.folder) == running.DRY_FOLDER


def test_a_done_run_passes_verification(done: Run) -> None:
    assert done.status() == "done"
    assert store.verify(done) == []


def test_a_link_to_nothing_is_a_fault_of_its_run_alone(done: Run) -> None:
    (done.folder / "more").symlink_to("nothing")
    assert store.verify(done) == [f"{done.folder / 'more'}: a link to nothing, 'nothing'"]


def test_config_json_is_what_the_id_is_made_of(done: Run) -> None:
    assert done.document() == job_of(done.folder.parent.parent).document


# Records ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"status": "done"}'])
def test_a_broken_record_is_one_message_that_names_the_file(done: Run, text: str) -> None:
    (done.folder / run_files.RECORD).write_text(text)
    with pytest.raises(ThunderError, match=r"run\.json"):
        done.record()


def test_a_record_with_an_unknown_status_is_refused(done: Run) -> None:
    edit(done.folder / run_files.RECORD, status="finished")
    with pytest.raises(ThunderError, match="'finished' is not allowed"):
        done.record()


def test_a_record_of_another_run_is_refused(done: Run) -> None:
    edit(done.folder / run_files.RECORD, id="0" * 12)
    with pytest.raises(ThunderError, match="it is of run dry/000000000000"):
        done.record()


def test_a_record_whose_runtime_had_another_form_is_still_read(done: Run) -> None:
    (attempt,) = done.record()["attempts"]
    site = {"name": "local", "executor": "local", "hosts": [{"name": "here", "address": "::1"}]}
    before = {**attempt, "runtime": {**attempt["runtime"], "site": site}}
    edit(done.folder / run_files.RECORD, attempts=[before])
    assert (done.status(), store.verify(done)) == ("done", [])


def test_a_drifted_config_names_key_old_and_new(
    done: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = done.folder.parent.parent
    document = files.read_json(done.folder / run_files.CONFIG)
    document["dry"]["value"] = 7.5
    files.write_json(done.folder / run_files.CONFIG, document)
    capsys.readouterr()
    assert running.here("+profile=dry", f"outputs={outputs}") == 1
    assert "dry.value: 7.5 → 1" in capsys.readouterr().out
    with pytest.raises(ThunderError, match="drifted: its content has id"):
        done.document()
    assert "drifted" in store.verify(done)[0]


@pytest.mark.parametrize("text", [None, "", "[]", "{"])
def test_a_lost_or_broken_config_is_one_message(
    done: Run, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = done.folder / run_files.CONFIG
    path.unlink() if text is None else path.write_text(text)
    capsys.readouterr()
    assert running.here("+profile=dry", f"outputs={done.folder.parent.parent}") == 1
    assert re.search(r"what .*config\.json: (missing|cannot be read)", capsys.readouterr().out)


def test_a_config_without_a_record_is_checked_before_it_is_used(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    folder = tmp_path / "dry" / job.id
    files.write_json(folder / run_files.CONFIG, {**job.document, "seed": 9})
    assert running.here("+profile=dry", f"outputs={tmp_path}") == 1
    assert not (folder / run_files.RECORD).exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"Not A Name": 1}', '{"value": "text"}'])
def test_broken_metrics_are_one_message(done: Run, text: str) -> None:
    (done.folder / run_files.METRICS).write_text(text)
    with pytest.raises(ThunderError, match=r"metrics\.json"):
        done.metrics()


def test_broken_rows_are_one_message(done: Run) -> None:
    vouched_rows(done, '{"step": 1}\n{torn}\n')
    with pytest.raises(ThunderError, match=r"metrics\.jsonl"):
        done.rows()


def vouched_rows(run: Run, text: str) -> None:
    """Leave rows as a window leaves them: with a manifest that lists them."""
    (run.folder / run_files.ROWS).write_text(text)
    manifest.write(run.folder, run.id, leave_out=(run_files.RECORD,))


def test_a_torn_last_row_is_left_out(done: Run) -> None:
    vouched_rows(done, '{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert done.rows() == [{"step": 1, "loss": 2.0}]


def test_rows_that_nobody_vouched_for_are_not_read(done: Run) -> None:
    vouched_rows(done, '{"step": 1, "loss": 2.0}\n')
    with (done.folder / run_files.ROWS).open("a") as stream:
        stream.write('{"step": 1, "loss": 0.001}\n')
    assert (done.rows(), done.at_step(1)["loss"]) == ([{"step": 1, "loss": 2.0}], 2.0)


def test_the_row_of_step_0_of_a_first_window_that_was_cut_off_is_no_fault(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    run = Run(tmp_path / "dry" / job.id)
    attempts.start(run, job, provenance.collect())
    edit(run.folder / run_files.RECORD, step=0, total=20)
    files.append_jsonl(run.folder / run_files.ROWS, {"step": 0, "valid_loss": 6.6})
    assert len(attempts.start(run, job, provenance.collect())["attempts"]) == 2


@pytest.mark.parametrize("step", [1, 10])
def test_a_row_added_for_a_verified_step_is_a_fault(done: Run, step: int) -> None:
    edit(done.folder / run_files.RECORD, status="paused", step=10, total=20)
    vouched_rows(done, '{"step": 10, "loss": 2.0}\n')
    with (done.folder / run_files.ROWS).open("a") as stream:
        stream.write('{"step": 11, "loss": 1.9}\n')
    assert store.verify(done) == []
    with (done.folder / run_files.ROWS).open("a") as stream:
        stream.write(f'{{"step": {step}, "loss": 0.001}}\n')
    said = f"metrics.jsonl: a row of step {step} was added after step 10 was verified"
    assert store.verify(done) == [said]


# Verification -----------------------------------------------------------------------------------


def test_verification_finds_a_tampered_a_missing_and_an_extra_artifact(done: Run) -> None:
    edit(done.folder / run_files.METRICS, value=9)
    (done.folder / "run.log").unlink()
    (done.folder / "extra").touch()
    faults = " ".join(store.verify(done))
    assert "metrics.json: its bytes" in faults
    assert "run.log: missing" in faults
    assert "extra: not in the manifest" in faults


def test_a_failed_attempt_does_not_bless_a_tampered_number(
    done: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(done.folder / run_files.METRICS, value=9)
    record = done.record()
    error = {"message": "x", "cause": "crash", "last_lines": [], "reproduce": ""}
    attempts.fail(done, record, error, 1.0)
    assert store.verify_numbers(done, has_steps=False) == [
        "metrics.json: its bytes are not those of the manifest (sha256 differs)"
    ]


# Finding ----------------------------------------------------------------------------------------


def test_a_prefix_finds_its_run(done: Run) -> None:
    assert store.by_prefix(done.folder.parent.parent, done.id[:3]) == done


def test_an_unknown_prefix_names_the_nearest_and_what_there_is(done: Run) -> None:
    wrong = done.id[:-1] + "z"
    with pytest.raises(ThunderError, match=rf"did you mean '{done.id}'.*runs: {done.id}"):
        store.by_prefix(done.folder.parent.parent, wrong)


def test_an_ambiguous_prefix_names_the_first_ten(tmp_path: Path) -> None:
    for number in range(12):
        folder = tmp_path / "dry" / f"abcdef0000{number:02}"
        folder.mkdir(parents=True)
        (folder / run_files.RECORD).touch()
    with pytest.raises(ThunderError, match=r"'abc' is the beginning of abcdef000000, .* 2 more"):
        store.by_prefix(tmp_path, "abc")


def test_no_outputs_are_no_runs(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match="runs: none"):
        store.by_prefix(tmp_path / "nothing", "abc")


def test_differences_name_dotted_keys() -> None:
    old, new = {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "d": 3}}
    assert differences(old, new) == [("a.c", 2, ABSENT), ("a.d", ABSENT, 3)]


# Forcing ----------------------------------------------------------------------------------------


def test_forcing_makes_a_run_beside_and_not_over(done: Run) -> None:
    outputs, before = done.folder.parent.parent, running.inodes(done.folder)
    assert running.here("+profile=dry", f"outputs={outputs}", "force=true") == 0
    assert running.here("+profile=dry", f"outputs={outputs}", "force=true") == 0
    assert running.inodes(done.folder) == before
    runs = store.runs_of(outputs, "dry", done.id)
    assert [run.folder.name for run in runs] == [done.id, f"{done.id}.2", f"{done.id}.3"]
    assert [store.verify(run) for run in runs] == [[], [], []]
    assert store.find(outputs, "dry", done.id) == runs[-1]


def test_a_forced_run_that_never_began_hides_nothing(done: Run) -> None:
    outputs = done.folder.parent.parent
    beside = store.beside(outputs, done)
    with lock.owned(beside.folder):
        pass
    assert store.find(outputs, "dry", done.id) == done
    assert store.beside(outputs, done) == beside


# Locks ------------------------------------------------------------------------------------------


def test_two_owners_are_impossible(done: Run) -> None:
    with lock.owned(done.folder):
        assert done.is_owned()
        with pytest.raises(lock.Busy, match="is being run by another process"):
            lock.owned(done.folder).__enter__()
    assert not done.is_owned()


def test_reading_the_status_never_takes_a_run_from_its_runner(done: Run) -> None:
    for _ in range(200):
        assert not done.is_owned()
        with lock.owned(done.folder):
            assert done.is_owned()


HOLDER = """
import subprocess, sys
from pathlib import Path
from thunder.runs import lock
with lock.owned(Path(sys.argv[1])) as held:
    child = None
    if sys.argv[2] == "child":
        fds = (held.descriptor,)
        child = subprocess.Popen(["sleep", "60"], pass_fds=fds, stdout=subprocess.DEVNULL)
    print(child.pid if child else 0, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("with_child", [False, True])
def test_a_lock_is_freed_by_death_and_held_while_a_child_lives(done: Run, with_child: bool) -> None:
    words = [sys.executable, "-c", HOLDER, str(done.folder), "child" if with_child else "alone"]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    assert done.is_owned()
    running.kill(holder)
    if with_child:
        assert done.is_owned()
        os.kill(child, signal.SIGKILL)
    running.wait_for(lambda: not done.is_owned(), "the lock's end")


def test_a_run_that_says_running_without_an_owner_is_lost(done: Run) -> None:
    edit(done.folder / run_files.RECORD, status="running")
    assert done.status() == "lost"
    with lock.owned(done.folder):
        assert done.status() == "running"


def test_a_run_that_ended_between_two_looks_is_not_called_lost(done: Run) -> None:
    earlier = {**done.record(), "status": "running"}
    assert done.status(earlier) == "done"


# Crashes ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_a_kill_at_any_write_leaves_what_the_next_command_understands(
    tmp_path: Path, number: int, when: str
) -> None:
    words = [sys.executable, "-c", CRASHING, str(number), when]
    crashed = subprocess.run([*words, "+profile=dry", f"outputs={tmp_path}"], capture_output=True)
    assert crashed.returncode == -signal.SIGKILL
    is_last = (number, when) == (WRITES, "after")
    job = job_of(tmp_path)
    left = store.find(tmp_path, "dry", job.id)
    was_recorded = number > 2 or (number, when) == (2, "after")
    assert left.status() == ("done" if is_last else "lost" if was_recorded else "planned")
    assert running.here("+profile=dry", f"outputs={tmp_path}") == 0
    assert left.status() == "done"
    assert store.verify(left) == []
    assert running.names_in(left.folder) == running.DRY_FOLDER


@pytest.mark.slow
def test_the_record_is_written_last(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CRASHING, str(WRITES + 1), "before"]
    ended = subprocess.run([*words, "+profile=dry", f"outputs={tmp_path}"], capture_output=True)
    assert ended.returncode == 0  # there is no sixth write
    run = running.only_run(tmp_path)
    written = {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    assert max(written, key=lambda name: written[name]) == run_files.RECORD


def test_true_is_not_one_when_drift_is_looked_for(done: Run) -> None:
    document = done.document()
    changed = {**document, "dry": {**document["dry"], "value": True}}
    files.write_json(done.folder / run_files.CONFIG, changed)
    with pytest.raises(Faults, match=r"dry\.value: true → 1"):
        done.check_drift(document)


def test_a_number_that_no_config_can_hold_is_drift_and_not_a_crash(done: Run) -> None:
    path = done.folder / run_files.CONFIG
    path.write_text(path.read_text().replace('"value": 1', '"value": NaN'))
    with pytest.raises(ThunderError, match="drifted"):
        done.document()


def test_a_failed_forced_attempt_does_not_hide_a_run_that_is_done(done: Run) -> None:
    beside = Run(done.folder.with_name(f"{done.folder.name}.2"))
    shutil.copytree(done.folder, beside.folder)
    edit(beside.folder / run_files.RECORD, status="failed")
    outputs = done.folder.parent.parent
    assert store.find(outputs, done.kind, done.id) == done


def test_a_run_that_was_stopped_after_its_last_window_is_done(done: Run) -> None:
    record = {**done.record(), "step": 4, "total": 4, "status": "running"}
    attempts.stop(done, record, 4, 1.0)
    assert done.record()["status"] == "done"


def test_rows_that_a_later_window_added_are_no_fault_of_a_paused_run(done: Run) -> None:
    files.append_jsonl(done.folder / run_files.ROWS, {"step": 1, "loss": 1.0})
    record = {**done.record(), "step": 1, "total": 4}
    attempts.advance(done, record, {"metrics": {"loss": 1.0}, "step": 1})
    attempts.stop(done, done.record(), 1, 1.0)
    files.append_jsonl(done.folder / run_files.ROWS, {"step": 2, "loss": 0.5})
    assert store.verify(done) == []
    assert store.verify_numbers(done, has_steps=True) == []


def test_a_second_run_is_found_when_the_first_was_moved_away(done: Run) -> None:
    outputs = done.folder.parent.parent
    for _ in range(2):
        assert running.here("+profile=dry", "force=true", f"outputs={outputs}") == 0
    done.folder.rename(outputs / "away")
    (outputs / "dry" / f"{done.id}.2").rename(outputs / "away.2")
    third = Run(outputs / "dry" / f"{done.id}.3")
    assert store.find(outputs, "dry", done.id) == third
    assert store.beside(outputs, third).folder.name == f"{done.id}.4"
    assert running.here("+profile=dry", f"outputs={outputs}") == 0
    assert not done.exists()
