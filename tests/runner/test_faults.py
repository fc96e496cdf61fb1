"""What befalls real processes: kills, freezes, signals, crowds, full and read-only disks."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import running
from running import begin, ended, thunder

from thunder.commands import requests, views
from thunder.runner import loop as runner
from thunder.runs import store

pytestmark = pytest.mark.slow

TASK = "import sys; from thunder.commands.tasks import main; sys.exit(main())"
SWEEP = ["-m", "+profile=dry", "seed=1,2", "jobs=2"]


def verified(outputs: Path) -> set[str]:
    """Return the results of verifying every run."""
    return {views.verified(run)["result"] for run in store.all_runs(outputs)}


def open_gate(outputs: Path) -> None:
    """Let gated lanes go on."""
    (outputs / "go").touch()


def wait_until_gone(outputs: Path) -> None:
    """Wait until no child works in a folder of outputs."""
    running.wait_for(lambda: not running.children(outputs), "the end of all children")


# Death ------------------------------------------------------------------------------------------


def test_a_killed_runner_takes_its_children_along_and_a_rerun_completes(tmp_path: Path) -> None:
    words = [*SWEEP, f"outputs={tmp_path}"]
    first = begin(*words, lane="gated")
    assert len(running.wait_for_children(tmp_path, 2)) == 2
    running.kill(first)
    wait_until_gone(tmp_path)
    running.wait_for(lambda: running.statuses(tmp_path) == ["lost", "lost"], "free locks")
    assert verified(tmp_path) == {"SKIPPED"}
    open_gate(tmp_path)
    again = thunder(*words, lane="gated")
    assert (again.returncode, again.stderr) == (0, "")
    assert "lost" in again.stdout
    assert running.statuses(tmp_path) == ["done", "done"]
    assert running.attempts(tmp_path) == 4
    assert verified(tmp_path) == {"PASS"}


def test_a_killed_child_fails_by_name_and_a_rerun_works(tmp_path: Path) -> None:
    words = ["+profile=dry", f"outputs={tmp_path}"]
    first = begin(*words, lane="gated")
    (child,) = running.wait_for_children(tmp_path, 1)
    os.kill(child, signal.SIGKILL)
    code, out, err = ended(first)
    assert (code, err) == (runner.EXIT_FAILED, "")
    error = running.error_of(running.only_run(tmp_path))
    assert error["cause"] == "crash"
    assert "was killed by SIGKILL" in error["message"]
    assert error["message"] in out
    open_gate(tmp_path)
    assert thunder(*words, lane="gated").returncode == 0
    assert verified(tmp_path) == {"PASS"}


def test_what_a_killed_child_leaves_behind_is_ended_too(tmp_path: Path) -> None:
    assert thunder("+profile=dry", f"outputs={tmp_path}", lane="leaves_orphan").returncode == 1
    wait_until_gone(tmp_path)


def test_a_frozen_child_is_killed_and_named(tmp_path: Path) -> None:
    first = begin("+profile=dry", "stall_seconds=2", f"outputs={tmp_path}", lane="gated")
    (child,) = running.wait_for_children(tmp_path, 1)
    os.kill(child, signal.SIGSTOP)
    code, out, _ = ended(first)
    assert code == runner.EXIT_FAILED
    assert f"(pid {child}) was silent for 2 s: it is frozen; killed" in out
    assert running.error_of(running.only_run(tmp_path))["cause"] == "crash"
    assert running.children(tmp_path) == []


def test_a_lane_that_hangs_is_killed_and_named(tmp_path: Path) -> None:
    first = begin("+profile=dry", "start_seconds=2", f"outputs={tmp_path}", lane="gated")
    code, out, _ = ended(first)
    assert code == runner.EXIT_FAILED
    assert "said nothing for 2 s: it hangs; killed" in out
    assert running.children(tmp_path) == []


# Signals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_runner_stops_its_children_and_all_stays_resumable(
    tmp_path: Path, number: signal.Signals
) -> None:
    words = ["-m", "+profile=dry", "seed=1,2,3", "jobs=2", f"outputs={tmp_path}"]
    first = begin(*words, lane="gated")
    running.wait_for_children(tmp_path, 2)
    first.send_signal(number)
    code, out, err = ended(first)
    assert (code, err) == (runner.EXIT_STOPPED, "")
    assert "stopping; every run stays resumable" in out
    assert "3 stopped" in out
    assert running.statuses(tmp_path) == ["paused", "paused"]
    assert running.children(tmp_path) == []
    open_gate(tmp_path)
    assert thunder(*words, lane="gated").returncode == 0
    assert running.statuses(tmp_path) == ["done"] * 3
    assert verified(tmp_path) == {"PASS"}


def test_under_nohup_a_closed_terminal_stops_nothing(tmp_path: Path) -> None:
    words = running.command("+profile=dry", f"outputs={tmp_path}", lane="gated")
    first = subprocess.Popen(
        ["nohup", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=running.environment(), stdin=subprocess.DEVNULL,
    )  # fmt: skip
    running.wait_for_children(tmp_path, 1)
    first.send_signal(signal.SIGHUP)
    open_gate(tmp_path)
    assert ended(first)[0] == 0


def test_a_child_that_somebody_else_stops_is_paused(tmp_path: Path) -> None:
    first = begin("+profile=dry", f"outputs={tmp_path}", lane="gated")
    (child,) = running.wait_for_children(tmp_path, 1)
    os.kill(child, signal.SIGTERM)
    code, _, _ = ended(first)
    assert code == runner.EXIT_STOPPED
    assert running.statuses(tmp_path) == ["paused"]


def test_runs_go_on_when_nobody_reads_the_lines_any_more(tmp_path: Path) -> None:
    first = begin(*SWEEP, f"outputs={tmp_path}", lane="gated")
    running.wait_for_children(tmp_path, 2)
    assert first.stdout is not None
    first.stdout.close()
    open_gate(tmp_path)
    assert first.stderr is not None
    assert first.stderr.read() == ""
    assert first.wait(running.DEADLINE_SECONDS) == 0
    first.stderr.close()
    assert running.statuses(tmp_path) == ["done", "done"]


# Crowds -----------------------------------------------------------------------------------------


def test_two_runners_share_a_matrix_and_run_every_cell_once(tmp_path: Path) -> None:
    words = ["-m", "+profile=dry", "seed=range(0,8)", "dry.sleep_seconds=0.1", "jobs=2"]
    both = [begin(*words, f"outputs={tmp_path}") for _ in range(2)]
    endings = [ended(process) for process in both]
    assert {code for code, _, _ in endings} <= {0, runner.EXIT_ELSEWHERE}
    assert [err for _, _, err in endings] == ["", ""]
    assert running.statuses(tmp_path) == ["done"] * 8
    assert running.attempts(tmp_path) == 8
    assert verified(tmp_path) == {"PASS"}


def test_a_second_runner_leaves_a_busy_cell_alone_and_says_so(tmp_path: Path) -> None:
    words = ["+profile=dry", f"outputs={tmp_path}"]
    first = begin(*words, lane="gated")
    running.wait_for_children(tmp_path, 1)
    second = thunder(*words, lane="gated")
    assert (second.returncode, second.stderr) == (runner.EXIT_ELSEWHERE, "")
    assert "another runner has it" in second.stdout
    assert running.statuses(tmp_path) == ["running"]
    open_gate(tmp_path)
    assert ended(first)[0] == 0
    assert running.attempts(tmp_path) == 1


def test_ten_processes_on_one_cell_make_one_attempt(tmp_path: Path) -> None:
    words = ["+profile=dry", "dry.sleep_seconds=0.5", f"outputs={tmp_path}"]
    crowd = [begin(*words) for _ in range(10)]
    endings = [ended(process) for process in crowd]
    assert {code for code, _, _ in endings} <= {0, runner.EXIT_ELSEWHERE}
    assert {err for _, _, err in endings} == {""}
    assert running.attempts(tmp_path) == 1
    assert verified(tmp_path) == {"PASS"}


def test_kills_at_random_moments_never_leave_more_than_a_rerun_can_mend(tmp_path: Path) -> None:
    chance = random.Random(20)
    words = ["-m", "+profile=dry", "seed=range(0,6)", "dry.sleep_seconds=0.05", "jobs=2"]
    words.append(f"outputs={tmp_path}")
    for _ in range(8):
        process = begin(*words)
        time.sleep(chance.uniform(0.15, 0.7))
        running.kill(process)
        assert {*running.statuses(tmp_path)} <= {"done", "lost", "running"}
        assert verified(tmp_path) <= {"PASS", "SKIPPED"}
    wait_until_gone(tmp_path)
    assert thunder(*words).returncode == 0
    assert running.statuses(tmp_path) == ["done"] * 6
    assert verified(tmp_path) == {"PASS"}
    for run in store.all_runs(tmp_path):
        assert running.names_in(run.folder) == running.DRY_FOLDER


# Disks ------------------------------------------------------------------------------------------


def test_a_disk_that_fills_up_is_one_message_and_a_rerun_with_room_completes(
    tmp_path: Path,
) -> None:
    script = f"""
    mount -t tmpfs -o size=1m tmpfs '{tmp_path}'
    "$PYTHON" -c "$WITH_LANE" fills_disk +profile=dry outputs='{tmp_path}'; echo "code $?"
    "$PYTHON" -c '{TASK}' status --outputs '{tmp_path}'
    rm '{tmp_path}'/dry/*/big
    "$PYTHON" -m thunder +profile=dry outputs='{tmp_path}'; echo "code $?"
    "$PYTHON" -c '{TASK}' verify --outputs '{tmp_path}'
    """
    done = running.in_namespace(script, folder=tmp_path)
    assert done.stderr == ""
    print(done.stdout)
    assert "cause   write" in done.stdout
    (job,) = requests.read(["+profile=dry"]).cells
    assert f"{tmp_path}/dry/{job.job.id}: No space left on device" in done.stdout
    assert done.stdout.count("code 1") == 1
    assert done.stdout.count("code 0") == 1
    assert "1 of 1 run proven" in done.stdout


def test_a_full_disk_is_one_message_and_not_one_per_cell(tmp_path: Path) -> None:
    script = f"""
    mount -t tmpfs -o size=64k tmpfs '{tmp_path}'
    head -c 70000 /dev/zero > '{tmp_path}/big' 2>/dev/null
    "$PYTHON" -m thunder -m +profile=dry seed=1,2,3 outputs='{tmp_path}'; echo "code $?"
    "$PYTHON" -m thunder +profile=dry outputs='{tmp_path}'; echo "code $?"
    """
    done = running.in_namespace(script, folder=tmp_path)
    assert done.stderr.count("thunder: ") == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert "No space left on device" in done.stderr
    assert done.stdout.count("cause   write") == 1
    assert done.stdout.count("code 1") == 2


def test_read_only_outputs_can_be_asked_but_not_run(tmp_path: Path) -> None:
    assert running.here("+profile=dry", "seed=1", f"outputs={tmp_path}") == 0
    assert running.here("+profile=dry", "seed=1,2", f"outputs={tmp_path}", sweep=True) == 0
    script = f"""
    mount --bind '{tmp_path}' '{tmp_path}' && mount -o remount,bind,ro '{tmp_path}'
    "$PYTHON" -m thunder +profile=dry seed=1 outputs='{tmp_path}'; echo "done $?"
    "$PYTHON" -m thunder -m +profile=dry seed=1,3 dry_run=true outputs='{tmp_path}'; echo "dry $?"
    "$PYTHON" -c '{TASK}' status --outputs '{tmp_path}'; echo "status $?"
    "$PYTHON" -c '{TASK}' plan dry --outputs '{tmp_path}'; echo "plan $?"
    "$PYTHON" -c '{TASK}' verify --outputs '{tmp_path}'; echo "verify $?"
    "$PYTHON" -m thunder -m +profile=dry seed=1,2 outputs='{tmp_path}'; echo "reached $?"
    "$PYTHON" -m thunder -m +profile=dry seed=1,3 outputs='{tmp_path}'; echo "matrix $?"
    "$PYTHON" -m thunder +profile=dry seed=3 outputs='{tmp_path}'; echo "new $?"
    """
    done = running.in_namespace(script, folder=tmp_path)
    zeros = ("done", "dry", "status", "plan", "verify", "reached")
    for line in (*(f"{word} 0" for word in zeros), "matrix 1", "new 1"):
        assert line in done.stdout.splitlines(), line
    assert done.stderr.count("\n") == 1
    assert "Read-only file system" in done.stderr
    assert "cause   write" in done.stdout


@pytest.mark.parametrize("words", [["+profile=dry"], ["-m", "+profile=dry", "seed=1,2"]])
def test_outputs_that_are_a_file_are_one_message(tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "file"
    path.write_text("not a folder")
    done = thunder(*words, f"outputs={path}")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "a file; outputs need a folder" in done.stdout + done.stderr
    assert path.read_text() == "not a folder"


@pytest.mark.parametrize(
    "name",
    ["with spaces", "it's", 'a "quote"', "ߒߞߏ ߝߊ߬ߛߏ", "back\\slash", "$HOME `id` ${x}", "new\nline"],
)
def test_hostile_names_of_outputs_work(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from thunder.commands import launch, requests, tasks

    outputs = tmp_path / name
    request = requests.named("dry", ["dry.fail=true"], outputs=outputs)
    assert launch.run(request) == 1
    assert running.error_of(running.only_run(outputs))["reproduce"]
    assert tasks.main(["status", "--outputs", str(outputs)]) == 0
    assert tasks.main(["status", "dry", "dry.fail=true", "--outputs", str(outputs)]) == 0
    assert capsys.readouterr().out.count("failed") >= 2
    assert [path.name for path in tmp_path.iterdir()] == [name]
