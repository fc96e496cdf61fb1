"""A whole run on a host: begun there, watched from here, home when it is over, whatever befalls."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import running
from far_runs import Away, quiet
from lab import Lab

from thunder.commands import main
from thunder.executors import capacity, owner
from thunder.ground import files
from thunder.hosts import requirements, ssh
from thunder.hosts.connection import Connection
from thunder.runner import loop as runner
from thunder.runs import claim, store

pytestmark = pytest.mark.slow
COUNTING = ("+profile=dry", "dry.value=20", "dry.sleep_seconds=0.05", "seed=1")
STEPS = [*range(1, 21)]


@pytest.fixture
def away(lab: Lab, tmp_path: Path) -> Away:
    return Away(lab, tmp_path, "mac4")


def computed(away: Away) -> list[int]:
    """The steps that were computed, on whatever machine, as they came home."""
    path = away.run().folder / "computed.jsonl"
    return [row["step"] for row in files.read_jsonl(path)]


def machines(away: Away) -> set[str]:
    path = away.run().folder / "computed.jsonl"
    return {row["host"] for row in files.read_jsonl(path)}


def wait_for_checkpoint(away: Away, step: int = 5, runs: int = 1) -> None:
    """Wait until the checkpoint of a step is home, of so many runs."""
    glob = f"dry/[!.]*/checkpoints/step-{step:04}/weights"  # hidden: on its way
    running.wait_for(lambda: len([*away.outputs.glob(glob)]) >= runs, "a checkpoint that is home")


def begun(away: Away, step: int = 7) -> "subprocess.Popen[str]":
    """Begin to count, or go on; returns when it goes no further and its last checkpoint is home."""
    away.hold(step)
    process = running.begin(*away.words(*COUNTING), lane="counting")
    wait_for_checkpoint(away, step // 5 * 5)
    return process


def goes_on(away: Away) -> str:
    """Count to the end by a command of its own; returns what it says."""
    away.release()
    ended = running.thunder(*away.words(*COUNTING), lane="counting")
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def is_whole(away: Away, attempts: int = 1) -> None:
    """Nothing was computed twice, all of it is here and right, and nothing runs there any more."""
    run = away.run()
    assert run.status() == "done"
    assert running.attempts(away.outputs) == attempts
    assert computed(away) == STEPS
    assert store.verify(run) == []
    assert sorted(path.name for path in (run.folder / "checkpoints").iterdir()) == [
        "step-0015",
        "step-0020",
    ]
    assert claim.read(run.folder) is None
    assert [quiet(machine) for machine in away.lab.machines.values()] == [[], []]


def test_a_run_lives_on_a_host_and_is_here_when_it_is_over(lab: Lab, away: Away) -> None:
    ended = running.thunder(*away.words("+profile=dry"))
    assert (ended.returncode, ended.stderr) == (0, "")
    run = away.run()
    record = run.record()
    assert record["status"] == "done"
    assert record["attempts"][0]["provenance"]["host"]["name"] == "mac4"
    assert store.verify(run) == []
    assert run.metrics()["value"] == 1.0
    assert (away.there(lab["mac4"]) / "manifest.json").is_file()
    assert claim.read(run.folder) is None
    assert quiet(lab["mac4"]) == []
    again = running.thunder(*away.words("+profile=dry"))
    assert (again.returncode, running.attempts(away.outputs)) == (0, 1)


def test_a_failure_there_is_told_here_in_its_words(lab: Lab, away: Away) -> None:
    ended = running.thunder(*away.words("+profile=dry"), lane="raises")
    assert ended.returncode == runner.EXIT_FAILED
    error = running.error_of(away.run())
    assert (error["cause"], error["message"]) == ("crash", "ZeroDivisionError: a fault of ours")
    assert "ߒߞߏ: the last words" in error["last_lines"]
    assert quiet(lab["mac4"]) == []


def test_whenever_the_launcher_is_killed_no_step_is_computed_twice(away: Away) -> None:
    draw = random.Random(5)
    words = away.words(*COUNTING[:2], "dry.sleep_seconds=0.2", "seed=1")
    for _ in range(3):
        process = running.begin(*words, lane="counting")
        time.sleep(draw.uniform(0.5, 4.0))
        running.kill(process)
    assert running.thunder(*words, lane="counting").returncode == 0
    is_whole(away, attempts=running.attempts(away.outputs))


def test_without_a_terminal_a_run_is_left_to_go_on_and_is_found_again(away: Away) -> None:
    signals = {7: signal.SIGTERM, 12: signal.SIGHUP, 17: signal.SIGINT}
    for step, number in signals.items():
        process = begun(away, step)
        process.send_signal(number)
        code, out, _ = running.ended(process)
        name = away.run().folder.name
        assert code == runner.EXIT_STOPPED
        assert f"runs on mac4; to go on watching: thunder attach {name}" in out
        (row,) = json.loads(away.task("status", "--json").stdout)
        assert (row["status"], row["on"]) == ("running", "mac4")
    away.release()
    attached = away.task("attach", name)
    assert attached.returncode == 0, attached.stdout + attached.stderr
    is_whole(away)
    assert "lives on no host: it is done" in away.task("attach", name).stderr


def test_at_a_terminal_ctrl_c_asks_whether_to_leave_or_to_stop(away: Away) -> None:
    answers = {"\r": False, "\x03": False, "s\r": True}
    for step, (answer, is_stopped) in enumerate(answers.items(), 6):
        away.hold(step)
        terminal = away.at_terminal(*COUNTING, lane="counting")
        terminal.read_until(f"{step}/20")
        terminal.type("\x03")
        terminal.read_until("[leave/stop]")
        terminal.type(answer)
        assert terminal.ended() == runner.EXIT_STOPPED, terminal.said
        assert away.run().status() == ("paused" if is_stopped else "running")
        assert ("stopping; every run stays resumable" in terminal.said) == is_stopped
        assert running.attempts(away.outputs) == 1
    goes_on(away)
    assert running.attempts(away.outputs) == 2
    assert sorted({*computed(away)}) == STEPS


def test_a_run_whose_owner_is_killed_or_whose_machine_is_started_anew_is_given_back(
    lab: Lab, away: Away
) -> None:
    process = begun(away)
    lab["mac4"].run("pkill", "-9", "-f", "executors.away")
    away.hold(12)
    wait_for_checkpoint(away, 10)
    lab["mac4"].die()
    lab["mac4"].boot()
    away.release()
    code, out, _ = running.ended(process)
    assert code == 0, out
    given_back = "and the run had not ended; it is given back"
    assert f"its process there is gone, {given_back}" in out
    assert f"the machine was started anew, {given_back}" in out
    assert running.attempts(away.outputs) == 3
    assert sorted({*computed(away)}) == STEPS
    assert len(computed(away)) < 2 * len(STEPS) - 5  # from its checkpoints, not from nothing
    assert quiet(lab["mac4"]) == []


def test_no_other_machine_gets_a_run_that_may_still_go_on(lab: Lab, away: Away) -> None:
    running.kill(begun(away))
    lab["mac4"].cut("ssh")
    away.site("mac5")
    process = running.begin(*away.words(*COUNTING), lane="counting")
    try:
        time.sleep(4)
        assert lab["mac5"].processes() == []
    finally:
        lab["mac4"].heal("ssh")
    away.release()
    assert running.ended(process)[0] == 0
    assert machines(away) == {"mac4"}
    is_whole(away)


def test_a_run_that_failed_here_while_it_went_on_there_is_ended_before_it_begins_anew(
    lab: Lab, away: Away
) -> None:
    running.kill(begun(away))
    run = away.run()
    record = run.record()
    record["status"] = record["attempts"][-1]["status"] = "failed"
    files.write_json(run.folder / "run.json", record)
    away.site("mac5")
    goes_on(away)
    assert machines(away) == {"mac4", "mac5"}
    assert sorted({*computed(away)}) == STEPS
    assert lab["mac4"].processes() == []


def test_a_run_can_be_stopped_from_elsewhere_and_goes_on_wherever_it_is_sent(
    lab: Lab, away: Away
) -> None:
    for host, step in {"mac4": 7, "mac5": 12}.items():
        away.site(host)
        process = begun(away, step)
        assert away.run().lives_on() == host
        running.kill(process)
        stopped = away.task("stop", away.run().folder.name)
        assert stopped.returncode == 0, stopped.stdout + stopped.stderr
        assert away.run().status() == "paused"
        assert quiet(lab[host]) == []
    away.site("mac4")
    goes_on(away)
    assert sorted({*computed(away)}) == STEPS
    assert running.attempts(away.outputs) == 3
    (aside,) = (lab["mac4"].home / "thunder/aside").iterdir()  # what it had when it was stopped
    assert aside.name.startswith(f"dry-{away.run().folder.name}-")
    assert not (aside / "checkpoints/step-0010").exists()


def test_a_kind_whose_packages_a_machine_lacks_is_not_sent_there(
    away: Away, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden/sitecustomize.py"  # which Python reads at its start
    hidden.parent.mkdir()
    hidden.write_text("import sys\nsys.modules['torch'] = None\n")
    bare = tmp_path / "bare"
    path = f'export PYTHONPATH="{hidden.parent}:$PYTHONPATH"'
    bare.write_text(f'#!/bin/sh\n{path}\nexec {sys.executable} "$@"\n')
    bare.chmod(0o755)
    away.site("mac4", hosts={"mac4": {"environment": str(bare)}})
    words = ("+profile=asr_ctc", "train.epochs=1", "data.take=40")
    ended = running.thunder(*away.words(*words))
    assert ended.returncode == runner.EXIT_FAILED
    assert "host mac4 lacks torch, which kind asr" in ended.stdout


def test_a_run_that_another_command_watches_is_stopped_and_both_say_so(
    lab: Lab, away: Away
) -> None:
    process = running.begin(*away.words("+profile=dry"), lane="gated")
    running.wait_for(lambda: [*lab["mac4"].home.glob("thunder/outputs/dry/*/began")], "a run")
    name = away.run().folder.name
    assert f"busy    {name}: another runner has it" in away.task("attach", name).stdout
    stopped = away.task("stop", name)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    code, out, _ = running.ended(process)
    assert code == runner.EXIT_STOPPED
    assert [f"stopped {name}" in said for said in (stopped.stdout, out)] == [True, True]
    assert (away.run().status(), claim.read(away.run().folder)) == ("paused", None)
    assert quiet(lab["mac4"]) == []


def test_a_stop_that_is_stopped_while_it_waits_for_another_command_ends_with_130(
    lab: Lab, away: Away
) -> None:
    process = begun(away)
    process.send_signal(signal.SIGSTOP)  # which watches the run, and cannot bring it home
    words = ["stop", away.run().folder.name, "--outputs", str(away.outputs)]
    code = "import sys; from thunder.commands import tasks; sys.exit(tasks.main())"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=running.environment(),
    ) as waiting:  # fmt: skip
        assert waiting.stdout is not None
        for line in waiting.stdout:
            if "waiting for 1 run that another runner has" in line:
                break
        waiting.send_signal(signal.SIGINT)
        assert waiting.communicate(timeout=60)[1] == "thunder: stopped\n"
    assert waiting.returncode == runner.EXIT_STOPPED
    process.send_signal(signal.SIGCONT)
    assert running.ended(process)[0] == runner.EXIT_STOPPED
    assert quiet(lab["mac4"]) == []


def test_a_stop_begins_nothing_where_the_owner_of_a_run_is_gone(lab: Lab, away: Away) -> None:
    running.kill(begun(away))
    lab["mac4"].run("pkill", "-9", "-f", "executors.away")
    stopped = away.task("stop", away.run().folder.name)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert away.run().status() == "paused"
    assert running.attempts(away.outputs) == 1
    assert len(computed(away)) < len(STEPS)
    assert claim.read(away.run().folder) is None
    assert quiet(lab["mac4"]) == []


def test_a_link_that_is_down_for_seconds_stops_nothing_and_one_that_is_lost_is_found_again(
    lab: Lab, away: Away
) -> None:
    process = begun(away)
    lab["mac4"].cut("ssh")
    away.hold(12)
    time.sleep(5)
    lab["mac4"].heal("ssh")
    wait_for_checkpoint(away, 10)
    lab["mac4"].run("pkill", "-9", "-f", "sshd.*notty")
    away.release()
    code, out, _ = running.ended(process)
    assert code == 0, out
    assert out.count("mac4 is out of reach; the run goes on there") == 1  # not for the seconds
    assert "mac4 is within reach again" in out
    is_whole(away)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Launch in this process, in which hosts are given up soon."""
    running.with_lane(monkeypatch, "counting")
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 3)
    monkeypatch.setattr(ssh, "SILENT_SECONDS", 10)
    monkeypatch.setattr(claim, "_GRACE_SECONDS", 3.0)
    monkeypatch.setattr(capacity, "_RETRY_SECONDS", 1.0)
    for name in ("_taken", "_unfit", "_lost", "_full"):
        monkeypatch.setattr(capacity, name, {})


@pytest.mark.usefixtures("impatient")
def test_the_runs_of_a_machine_that_is_gone_for_good_go_on_elsewhere(
    lab: Lab, away: Away, capfd: pytest.CaptureFixture[str]
) -> None:
    away.site("mac4", "mac5")
    away.hold(7)

    def lose() -> None:
        wait_for_checkpoint(away, runs=2)
        lab["mac4"].die()
        away.release()

    losing = threading.Thread(target=lose)
    losing.start()
    try:
        words = away.words("-m", *COUNTING[:-1], "seed=1,2", "unattended_seconds=6")
        assert main.main(words) == 0
    finally:
        losing.join()
        lab["mac4"].boot()
    assert "out of reach for longer than the run goes on unattended" in capfd.readouterr().out
    assert running.statuses(away.outputs) == ["done"] * 2
    every = [
        [*files.read_jsonl(one.folder / "computed.jsonl")] for one in store.all_runs(away.outputs)
    ]
    assert [sorted({row["step"] for row in rows}) for rows in every] == [STEPS] * 2
    assert {"mac4", "mac5"} in [{row["host"] for row in rows} for rows in every]
    assert quiet(lab["mac5"]) == []


def test_a_run_that_nobody_asks_for_ends_itself_and_resumes(lab: Lab, away: Away) -> None:
    away.hold(7)
    words = away.words(*COUNTING, "unattended_seconds=4")
    process = running.begin(*words, lane="counting")
    wait_for_checkpoint(away)
    running.kill(process)
    running.wait_for(lambda: not lab["mac4"].processes(), "the end of the run there")
    before = running.attempts(away.outputs)  # a machine that is too busy to ask may need several
    away.release()
    ended = running.thunder(*words, lane="counting")
    assert ended.returncode == 0, ended.stdout
    assert "nobody asked for the run for 4 s, so it ended itself" in ended.stdout
    assert running.attempts(away.outputs) > before
    assert sorted({*computed(away)}) == STEPS


def test_a_pull_that_is_cut_is_gone_on_with(lab: Lab, away: Away) -> None:
    words = away.words(*COUNTING[:-1], "seed=4")  # checkpoints of 4 MB
    away.hold(7)
    with lab["mac4"].slow(megabits=16):
        process = running.begin(*words, lane="counting")
        running.wait_for(lambda: list(away.outputs.glob("dry/.incoming-*")), "a pull")
        time.sleep(0.7)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        lab["mac4"].run("pkill", "-9", "rsync")
    assert not list(away.outputs.glob("dry/[!.]*/checkpoints/*"))
    away.release()
    assert running.thunder(*words, lane="counting").returncode == 0
    is_whole(away)
    assert not list(away.outputs.glob("dry/.incoming-*"))


def test_a_file_that_is_written_anew_while_it_comes_home_is_never_taken_for_another(
    lab: Lab, away: Away
) -> None:
    words = away.words("+profile=dry", "dry.value=8", "seed=3")
    with lab["mac4"].slow(megabits=40):
        ended = running.thunder(*words, lane="rewriting")
    assert ended.returncode == 0, ended.stdout
    assert store.verify(away.run()) == []
    here, there = away.run().folder, away.there(lab["mac4"])
    assert (here / "weights").read_bytes() == (there / "weights").read_bytes()


@pytest.mark.parametrize("size", ["1m", "16m"], ids=["before it begins", "while it runs"])
def test_a_full_disk_there_is_named(lab: Lab, away: Away, size: str) -> None:
    small = lab["mac4"].home / "small"
    small.mkdir(exist_ok=True)
    lab["mac4"].run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(small))
    try:
        every = {"python": "/usr/bin/python3", "environment": str(away.folder / "python")}
        away.site("mac4", every_host={**every, "workspace": str(small)})
        ended = running.thunder(*away.words("+profile=dry"), lane="fills_disk")
        assert ended.returncode == runner.EXIT_FAILED
        error = running.error_of(away.run())
        assert error["cause"] == "write"
        assert "No space left on device" in error["message"]
        assert quiet(lab["mac4"]) == []
    finally:
        lab["mac4"].run("umount", str(small))


def test_a_host_that_cannot_be_used_is_one_line_and_the_cells_run_elsewhere(away: Away) -> None:
    hosts = {"mac4": {}, "mac5": {}, "nowhere": {}}
    away.site("nowhere", "mac4", hosts=hosts)
    words = away.words("-m", "+profile=dry", "seed=range(0,4)")
    ended = running.thunder(*words)
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.count("host nowhere (nowhere)") == 1
    assert running.statuses(away.outputs) == ["done"] * 4
    away.site("nowhere", hosts=hosts)
    failed = running.thunder(*away.words("+profile=dry", "seed=9"))
    assert failed.returncode == runner.EXIT_FAILED
    assert "no machine of that name" in failed.stdout


def test_a_host_with_other_versions_than_here_gets_no_run(lab: Lab, away: Away) -> None:
    about = away.folder / "old/numpy-1.0.dist-info/METADATA"
    about.parent.mkdir(parents=True)
    about.write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.0\n", encoding="utf-8")
    old = away.folder / "old/python"
    script = f'#!/bin/sh\nPYTHONPATH="{old.parent}:$PYTHONPATH" exec {away.folder}/python "$@"\n'
    old.write_text(script, encoding="utf-8")
    old.chmod(0o755)
    hosts = {"mac4": {"environment": str(old)}, "mac5": {}}
    away.site("mac4", hosts=hosts)
    refused = running.thunder(*away.words("+profile=dry"))
    assert refused.returncode == runner.EXIT_FAILED
    error = running.error_of(away.run())
    assert error["cause"] == "environment"
    here = requirements.version("numpy")
    mend = f"thunder hosts prepare mac4 site=lab --config-dir {away.conf}"
    told = f"host mac4: numpy is 1.0 there, {here} here: make them alike, {mend}"
    assert error["message"] == told
    assert not away.there(lab["mac4"]).exists()
    away.site("mac4", "mac5", hosts=hosts)
    ended = running.thunder(*away.words("+profile=dry"))
    assert ended.returncode == 0, ended.stdout
    assert f"{told}; not run there" in ended.stdout
    record = away.run().record()
    assert record["attempts"][-1]["provenance"]["versions"]["numpy"] == here


@pytest.mark.usefixtures("impatient")
def test_a_host_that_is_starting_anew_fails_no_cell(
    lab: Lab, away: Away, capfd: pytest.CaptureFixture[str]
) -> None:
    lab["mac4"].die()
    booting = threading.Timer(6.0, lab["mac4"].boot)
    booting.start()
    try:
        assert main.main(away.words("-m", *COUNTING[:-1], "seed=1,2")) == 0
    finally:
        booting.join()
    assert capfd.readouterr().out.count("waited for, for 120 s") == 1
    assert running.statuses(away.outputs) == ["done"] * 2


def test_a_run_that_does_not_begin_on_one_host_begins_on_another(
    away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn = owner.spawn
    away.site("mac4", "mac5")
    hosts: list[str] = []

    def refuses_first(way: Connection, *more: Any) -> None:
        hosts.append(way.host.name)
        if len(hosts) == 1:
            raise owner.NotBegun("host mac4: the run did not begin: no memory", "crash")
        spawn(way, *more)

    monkeypatch.setattr(owner, "spawn", refuses_first)
    assert main.main(away.words("+profile=dry")) == 0
    assert hosts == ["mac4", "mac5"]
    assert away.run().status() == "done"


def test_hosts_and_two_launchers_share_a_matrix_and_every_cell_is_run_once(
    lab: Lab, away: Away
) -> None:
    away.site("mac4", "mac5")
    words = away.words("-m", "+profile=dry", "seed=range(0,5)", "dry.sleep_seconds=1", "wait=true")
    processes = [running.begin(*words) for _ in range(2)]
    assert [running.ended(process)[0] for process in processes] == [0, 0]
    runs = store.all_runs(away.outputs)
    assert [(run.status(), store.verify(run)) for run in runs] == [("done", [])] * 5
    assert running.attempts(away.outputs) == 5
    hosts = [run.record()["attempts"][0]["provenance"]["host"]["name"] for run in runs]
    assert {*hosts} == {"mac4", "mac5"}
    assert [quiet(machine) for machine in lab.machines.values()] == [[], []]
