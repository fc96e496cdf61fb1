"""Planning and running: how many at once, what fails, what is left alone, exit codes."""

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import running
from running import Silent

from thunder.commands import requests, tasks
from thunder.executors import place
from thunder.executors.place import Ending, Order
from thunder.ground import run_files
from thunder.runner import loop as runner
from thunder.runner.execute import Outcome
from thunder.runner.queue import Queue
from thunder.runs import attempts, lock, store
from thunder.runs.cells import Planned, how_far
from thunder.runs.run import Run


def planned(outputs: Path, *words: str, sweep: bool = False) -> list[Planned]:
    """Plan a dry command line."""
    request = requests.read(["+profile=dry", f"outputs={outputs}", *words], sweep=sweep)
    return how_far(request.cells, outputs, force=request.runtime["force"])


def run_lane(monkeypatch: pytest.MonkeyPatch, outputs: Path, lane: str) -> Run:
    """Run one cell whose lane misbehaves, and return the run."""
    running.with_lane(monkeypatch, lane)
    outcomes = runner.run(planned(outputs), Silent())
    assert runner.exit_code(outcomes) == runner.EXIT_FAILED
    return running.only_run(outputs)


# How many at once -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 3])
def test_jobs_run_so_many_at_once_and_not_more(tmp_path: Path, at_once: int) -> None:
    words = ["-m", "+profile=dry", "seed=range(0,5)", f"jobs={at_once}", f"outputs={tmp_path}"]
    process = running.begin(*words, lane="gated")
    running.wait_for_children(tmp_path, at_once)
    time.sleep(0.3)  # one more would have begun by now
    assert len(running.children(tmp_path)) == len(list(tmp_path.glob("dry/*"))) == at_once
    (tmp_path / "go").touch()
    assert running.ended(process)[0] == 0
    assert running.statuses(tmp_path) == ["done"] * 5


# Failures ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_failing_cell_stops_no_other_and_the_exit_code_says_so(tmp_path: Path) -> None:
    words = ["-m", "+profile=dry", "dry.fail=true,false", "seed=1,2", f"outputs={tmp_path}"]
    ended = running.thunder(*words)
    assert ended.returncode == runner.EXIT_FAILED
    assert sorted(running.statuses(tmp_path)) == ["done", "done", "failed", "failed"]
    assert ended.stderr == ""


@pytest.mark.slow
def test_a_failure_is_recorded_with_the_command_that_does_it_again(tmp_path: Path) -> None:
    outputs = tmp_path / "a b'c"
    running.thunder("-m", "+profile=dry", "seed=4,5", "dry.fail=true", f'outputs="{outputs}"')
    run = store.all_runs(outputs)[0]
    error = running.error_of(run)
    assert error["cause"] == "training"
    assert error["message"] == "the job was asked to fail (dry.fail=true)"
    _, *rest = shlex.split(error["reproduce"])
    again = subprocess.run([sys.executable, *rest], capture_output=True, text=True, cwd=tmp_path)
    assert again.returncode == runner.EXIT_FAILED
    assert error["message"] in again.stdout
    attempts = run.record()["attempts"]
    assert [attempt["status"] for attempt in attempts] == ["failed", "failed"]
    assert len(store.all_runs(outputs)) == 2


@pytest.mark.slow
def test_an_unforeseen_error_leaves_its_last_lines_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = running.error_of(run_lane(monkeypatch, tmp_path, "raises"))
    assert error["cause"] == "crash"
    assert error["message"] == "ZeroDivisionError: a fault of ours"
    assert "ߒߞߏ: the last words" in error["last_lines"]
    assert "ZeroDivisionError: a fault of ours" in error["last_lines"]


@pytest.mark.slow
def test_a_missing_input_is_a_matter_of_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_lane(monkeypatch, tmp_path, "reads_nothing")
    error = running.error_of(run)
    assert error["cause"] == "data"
    assert error["message"] == f"{run.folder / 'input.txt'}: No such file or directory"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lane", "message"),
    [
        ("garbage", r"what is not an event: '\x00"),
        ("listed", "what is not an event: '[1, 2]'"),
        ("endless", "what is not an event: 'xxx"),
        ("torn_step", "per_second: missing"),
        ("wrong_metrics", "Not A Name"),
        ("no_metrics", "metrics: missing"),
        ("killed", "was killed by SIGKILL"),
    ],
)
def test_whatever_a_child_does_its_run_fails_as_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lane: str, message: str
) -> None:
    run = run_lane(monkeypatch, tmp_path, lane)
    assert run.status() == "failed"
    assert running.error_of(run)["cause"] == "crash"
    assert message in running.error_of(run)["message"]
    assert running.children(tmp_path) == []


@pytest.mark.slow
def test_an_event_of_an_unknown_kind_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.with_lane(monkeypatch, "unknown")
    assert running.here("+profile=dry", f"outputs={tmp_path}") == 0


@pytest.mark.slow
def test_a_failed_run_is_tried_again_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_lane(monkeypatch, tmp_path, "second_time_lucky")
    assert running.here("+profile=dry", f"outputs={tmp_path}") == 0
    assert run.status() == "done"
    assert store.verify(run) == []
    assert [a["number"] for a in run.record()["attempts"]] == [1, 2]


# What is done -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_done_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["+profile=dry", "seed=1,2", f"outputs={tmp_path}"]
    assert running.here(*words, sweep=True) == 0
    before = running.inodes(tmp_path / "dry")
    assert running.here(*words, sweep=True) == 0
    assert running.here("+profile=dry", "seed=2", f"outputs={tmp_path}") == 0
    assert running.inodes(tmp_path / "dry") == before
    assert "is done; nothing was run" in capsys.readouterr().out


def test_a_run_that_another_runner_owns_is_left_to_it(tmp_path: Path) -> None:
    (row,) = planned(tmp_path)
    with lock.owned(row.run.folder):
        outcomes = runner.run([row], Silent())
    assert [outcome.ending for outcome in outcomes] == ["elsewhere"]
    assert runner.exit_code(outcomes) == runner.EXIT_ELSEWHERE


def test_a_run_that_became_done_since_the_plan_is_not_run_again(tmp_path: Path) -> None:
    (row,) = planned(tmp_path)
    runner.run([row], Silent())
    before = running.inodes(tmp_path / "dry")
    outcomes = runner.run([row], Silent())
    assert [outcome.ending for outcome in outcomes] == ["reached"]
    assert running.inodes(tmp_path / "dry") == before


# Several targets of one job ---------------------------------------------------------------------


class Recorded:
    """Stands in for the executor: a job of steps that reaches its goal, or fails at one."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.goals: list[int] = []
        self.fails_at = fails_at

    def execute(self, where: Any, order: Order, *_: Any) -> Ending:
        """Pretend to train."""
        goal = Run(order.folder).record()["attempts"][-1]["to_step"]
        self.goals.append(goal)
        if goal == self.fails_at:
            return Ending(None, {"message": "diverged", "cause": "training"})
        return Ending({"metrics": {"valid_loss": 1.0}, "step": goal}, None)


def steps_rows(outputs: Path, *words: str) -> list[Planned]:
    """Plan one adapter job to three targets, in a muddled order."""
    request = requests.read(
        ["+profile=smoke", "window=1", "target=3,1,2", f"outputs={outputs}", *words], sweep=True
    )
    return how_far(request.cells, outputs)


def test_targets_of_one_job_run_in_order_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Recorded()
    monkeypatch.setattr(place, "execute", executor.execute)
    outcomes = runner.run(steps_rows(tmp_path), Silent(), at_once=3)
    assert executor.goals == [1, 2, 3]
    assert {outcome.ending for outcome in outcomes} == {"reached"}
    run = running.only_run(tmp_path)
    assert (run.status(), run.record()["step"]) == ("paused", 3)


def test_the_windows_of_a_job_are_not_parted_by_other_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str, int]] = []

    def execute(where: Any, order: Order, *_: Any) -> Ending:
        goal = Run(order.folder).record()["attempts"][-1]["to_step"]
        begun.append((order.folder.name, goal))
        time.sleep(0.05)
        return Ending({"metrics": {"valid_loss": 1.0}, "step": goal}, None)

    monkeypatch.setattr(place, "execute", execute)
    words = ["+profile=smoke", "window=1", "target=1,2", "seed=1,2,3", f"outputs={tmp_path}"]
    cells = requests.read(words, sweep=True).cells
    outcomes = runner.run(how_far(cells, tmp_path), Silent(), at_once=2)
    assert {outcome.ending for outcome in outcomes} == {"reached"}
    third = next(name for name, _ in reversed(begun) if begun.index((name, 1)) >= 2)
    before = begun[: begun.index((third, 1))]
    # Two jobs go on at once; the third begins when one of them is whole.
    assert any((name, 2) in before for name, _ in before)


def test_after_a_failed_target_the_later_ones_are_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, screen = Recorded(fails_at=2), Silent()
    monkeypatch.setattr(place, "execute", executor.execute)
    outcomes = runner.run(steps_rows(tmp_path), screen)
    assert executor.goals == [1, 2]
    assert [outcome.ending for outcome in outcomes] == ["reached", "failed", "failed"]
    assert len(screen.endings) == 2
    run = running.only_run(tmp_path)
    assert (run.status(), run.record()["step"]) == ("failed", 1)


def test_forcing_moves_all_targets_of_a_job_to_one_new_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Recorded()
    monkeypatch.setattr(place, "execute", executor.execute)
    runner.run(steps_rows(tmp_path)[1:2], Silent())  # to target 1 only
    first = running.only_run(tmp_path)
    before = running.inodes(first.folder)
    request = requests.read(
        ["+profile=smoke", "window=1", "target=1,2", f"outputs={tmp_path}"], sweep=True
    )
    runner.run(how_far(request.cells, tmp_path, force=True), Silent())
    assert executor.goals == [1, 1, 2]
    assert running.inodes(first.folder) == before
    assert store.find(tmp_path, "adapter", first.id).record()["step"] == 2


def test_a_lost_run_that_is_far_enough_is_mended_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Recorded()
    monkeypatch.setattr(place, "execute", executor.execute)
    runner.run(steps_rows(tmp_path)[1:2], Silent())
    run = running.only_run(tmp_path)
    (two,) = steps_rows(tmp_path)[2:]
    attempts.start(run, two.cell.job, runner.provenance.collect())  # …and killed
    assert run.status() == "lost"
    outcomes = runner.run(steps_rows(tmp_path)[1:2], Silent())
    assert [outcome.ending for outcome in outcomes] == ["reached"]
    assert (run.status(), executor.goals) == ("paused", [1])


# Exit codes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endings", "code"),
    [
        ([], 0),
        (["reached"], 0),
        (["reached", "elsewhere"], 3),
        (["elsewhere", "failed"], 1),
        (["failed", "stopped", "elsewhere"], 130),
    ],
)
def test_the_exit_code_tells_the_gravest_ending(
    tmp_path: Path, endings: list[str], code: int
) -> None:
    (row,) = planned(tmp_path)
    assert runner.exit_code([Outcome(row, ending, 0.0) for ending in endings]) == code


def test_cells_that_were_not_begun_when_it_stopped_are_not_told_one_by_one(tmp_path: Path) -> None:
    stop, screen = place.Stop(), Silent()
    stop.set()
    outcomes = runner._run_group(
        Queue([planned(tmp_path)], 1), runner._Way(screen, 1, 0, False, False), stop
    )
    assert [outcome.ending for outcome in outcomes] == ["stopped"]
    assert screen.endings == []
    assert not (tmp_path / "dry").exists()


def dangle(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to("nowhere")


def leave_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


def empty_the_record(folder: Path) -> None:
    (folder / run_files.RECORD).write_text("")


def nest_the_record(folder: Path) -> None:
    (folder / run_files.RECORD).write_text("[" * 100_000)


def dangle_the_record(folder: Path) -> None:
    (folder / run_files.RECORD).unlink()
    (folder / run_files.RECORD).symlink_to("nowhere")


def lose_the_config(folder: Path) -> None:
    (folder / run_files.CONFIG).unlink()


def lose_the_record(folder: Path) -> None:
    (folder / run_files.RECORD).unlink()


def lose_the_proof(folder: Path) -> None:
    (folder / run_files.MANIFEST).unlink()


@pytest.mark.parametrize(
    "spoil",
    [
        dangle, leave_a_file, empty_the_record, nest_the_record, dangle_the_record,
        lose_the_config, lose_the_record, lose_the_proof,
    ],
)  # fmt: skip
def test_one_bad_run_folder_bars_no_other(
    tmp_path: Path, spoil: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    bad, *_ = planned(tmp_path, "seed=1,2,3", sweep=True)
    runner.run([bad], Silent())
    spoil(bad.run.folder)
    capsys.readouterr()
    words = ["+profile=dry", "seed=1,2,3", f"outputs={tmp_path}"]
    assert running.here(*words, sweep=True) == 1
    out = capsys.readouterr().out
    assert "2 reached, 1 failed" in out
    assert str(bad.run.folder) in out
    assert "move the folder away" in out
    assert tasks.main(["status", "--outputs", str(tmp_path)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if bad.run.id in line][:1]
    assert "unreadable" in line
    assert tasks.main(["verify", "--outputs", str(tmp_path)]) == 1
    assert f"{bad.run.id}  FAIL" in capsys.readouterr().out
    for task in ("show", "report"):
        assert tasks.main([task, bad.run.id, "--outputs", str(tmp_path)]) == 1
        told = capsys.readouterr()
        assert (told.out, str(bad.run.folder) in told.err) == ("", True)
    bad.run.folder.rename(tmp_path / "away")
    assert running.here(*words, sweep=True) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lane", "retries", "statuses"),
    [
        ("third_time_lucky", 2, ["failed", "failed", "done"]),
        ("third_time_lucky", 1, ["failed", "failed"]),
        ("second_time_lucky", 2, ["failed"]),  # a training fault comes again
    ],
)
def test_a_cause_that_may_pass_is_tried_again_and_each_try_is_in_the_record(
    tmp_path: Path, lane: str, retries: int, statuses: list[str]
) -> None:
    words = ["+profile=dry", f"outputs={tmp_path}", f"retries={retries}"]
    done = running.thunder(*words, lane=lane)
    attempts = running.only_run(tmp_path).record()["attempts"]
    assert [attempt["status"] for attempt in attempts] == statuses
    assert done.returncode == (0 if statuses[-1] == "done" else 1)
    assert done.stdout.count(": the host is down") == (statuses[-1] != "done" and lane[0] == "t")
    assert done.stdout.count(f"of {retries} in ") == len(statuses) - 1


@pytest.mark.slow
def test_who_waits_for_another_runner_learns_of_its_success(tmp_path: Path) -> None:
    words = ["-m", "+profile=dry", "seed=1,2", f"outputs={tmp_path}"]
    with running.begin(*words, lane="gated") as first:
        running.wait_for(lambda: [*tmp_path.glob("dry/*/began")], "the first has one")
        with running.begin(*words, "wait=true", lane="gated") as second:
            running.wait_for(lambda: len([*tmp_path.glob("dry/*/began")]) == 2, "each has one")
            (tmp_path / "go").touch()
            codes = [running.ended(one)[0] for one in (first, second)]
    assert codes == [3, 0] or codes == [0, 0]  # the first may find the other run ended already
    assert running.statuses(tmp_path) == ["done", "done"]
    assert running.attempts(tmp_path) == 2
