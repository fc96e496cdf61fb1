"""Ranks on two hosts behind ssh: the same bytes as on one, and what befalls the hosts meanwhile."""

import contextlib
import io
import os
import random
import re
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import host_runs
import pytest
from host_runs import JOB, Desk, are_empty, comes, wait_for_line
from lab import Lab

from thunder.commands import cleaning, tasks
from thunder.ground import digest, files, schema
from thunder.hosts.host import of_site
from thunder.runs import mirror as runs_mirror
from thunder.runs import store
from thunder.runs.run import Run

pytestmark = pytest.mark.slow
# Steps enough that none ends by itself before a test has done its harm.
LONG = ("+profile=smoke", "train.steps=4000", "eval_every=5000", "save_every=50")
KILLS = {"short": 2, "long": 20}  # by --chaos
MOMENTS = ("preflight", "train   step", "note    saved step", "verification")
DEADLINE = ("stall_seconds=8", "start_seconds=60")


@dataclass(frozen=True)
class Walk:
    """A walk to step 20 in windows of ten, after whose first one the hosts were cleaned.

    Args:
        shown: what cleaning said.
        left: what was left of the mirror then.
    """

    desk: Desk
    shown: str
    left: list[Path]


@pytest.fixture(scope="module")
def alone(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk at which two ranks on this machine have walked to step 20."""
    return host_runs.reference(tmp_path_factory, lab)


@pytest.fixture(scope="module")
def walk(lab: Lab, alone: Desk, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    desk = beside(alone, tmp_path_factory.mktemp("walk"))
    done = desk.thunder(*JOB, "window=10")
    assert done.returncode == 0, done.stdout + done.stderr
    place = ["--outputs", str(desk.outputs), "--config-dir", str(desk.root / "conf")]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert tasks.main(["hosts", "clean", "mac4", "--yes", "site=both", *place]) == 0
    left = [*lab["mac4"].home.glob(f"thunder/outputs/adapter/{desk.run.name}")]
    done = desk.thunder(*JOB, "target=20")
    assert done.returncode == 0, done.stdout + done.stderr
    return Walk(desk, said.getvalue(), left)


@pytest.fixture
def desk(lab: Lab, tmp_path: Path, alone: Desk) -> Desk:
    """A desk of one's own, with the stand-ins built already, on hosts at which nobody works."""
    for machine in (lab["mac4"], lab["mac5"]):
        assert are_empty(machine)
    return beside(alone, tmp_path)


def beside(alone: Desk, root: Path) -> Desk:
    (root / "outputs").mkdir()
    os.symlink(alone.outputs / "cache", root / "outputs" / "cache")
    return host_runs.desk(root, alone.lab)


def assert_left_alone(lab: Lab) -> None:
    assert are_empty(lab["mac4"], lab["mac5"]), [m.processes() for m in lab.machines.values()]
    for machine in lab.machines.values():  # tokens are of a run alone
        assert not [*machine.home.glob("thunder/inputs/.incoming*")]


def test_two_hosts_leave_the_bytes_and_the_id_of_two_ranks_on_one(
    lab: Lab, alone: Desk, walk: Walk
) -> None:
    assert alone.run.name == walk.desk.run.name
    assert alone.tensors(20) == walk.desk.tensors(20)
    record = files.read_json(walk.desk.run / "checkpoint.json")
    assert record["fingerprint"]["ranks_alike"] is True
    assert_left_alone(lab)


def test_the_report_says_host_by_host_where_what_lies(lab: Lab, walk: Walk) -> None:
    report = files.read_json(walk.desk.run / "report.json")
    schema.check("report", report, "report.json")
    report_text = (walk.desk.run / "report.md").read_text(encoding="utf-8")
    here, mac4, mac5 = report["hosts"]
    there = lab["mac4"].home / "thunder/outputs/adapter" / walk.desk.run.name
    assert (here["host"], here["ranks"]) == ("localhost", [])
    assert (mac4["host"], mac4["ranks"]) == ("mac4", [0])
    assert (mac5["host"], mac5["ranks"]) == ("mac5", [1])
    names = ["data set", "model", "checkpoint", "adapter"]
    for row, wanted in ((here, names), (mac4, names), (mac5, names[:2])):
        assert [one["item"] for one in row["items"]] == wanted
        for one in row["items"]:
            path = Path(one["path"])
            assert path.exists(), one
            assert f"{one['item']} | {path} | {one['sha256']} |" in report_text
    for item, one in ((item, one) for item in names[:2] for one in (mac4, mac5)):
        assert digests(one)[item] == digests(here)[item]
    assert digests(mac4)["checkpoint"] == digest.of_folder(there / "checkpoints/step-0000020")
    assert digests(here)["checkpoint"] == digests(mac4)["checkpoint"]
    adapter = there / "checkpoints/step-0000020/adapters.safetensors"
    assert digests(here)["adapter"] == digests(mac4)["adapter"] == digest.of_file(adapter)
    evaluated = {row["check"]: row["host"] for row in report["verification"]}
    assert evaluated["validation loss comes back"] == "mac4"


def digests(row: dict[str, Any]) -> dict[str, str]:
    return {one["item"]: one["sha256"] for one in row["items"]}


def test_the_mirror_is_noted_file_by_file_and_is_proven_home(lab: Lab, walk: Walk) -> None:
    there = lab["mac4"].home / "thunder/outputs/adapter" / walk.desk.run.name
    noted = runs_mirror.read(walk.desk.run)
    assert noted.keys() == {"mac4"}
    assert noted["mac4"]["folder"] == str(there)
    names = digest.visible_files(there)
    assert "metrics.jsonl" in names
    assert {one["path"]: one["sha256"] for one in noted["mac4"]["artifacts"]} == {
        name: digest.of_file(there / name) for name in names
    }
    hosts = [of_site(lab.site())["mac4"]]
    kept = {one.run: one.kept for one in cleaning.clean(hosts, walk.desk.outputs, remove=False)}
    assert kept[f"adapter/{walk.desk.run.name}"] == ""


def test_what_the_ranks_read_is_noted_for_each_host_as_the_report_has_it(
    lab: Lab, walk: Walk, capsys: pytest.CaptureFixture[str]
) -> None:
    noted = runs_mirror.inputs(walk.desk.run)  # the hosts were cleaned after the first window
    report = files.read_json(walk.desk.run / "report.json")
    assert noted == {
        row["host"]: [
            {"input": name, **{key: item[key] for key in ("path", "sha256", "commit")}}
            for name, item in zip(("data", "model"), row["items"], strict=False)
        ]
        for row in report["hosts"][1:]
    }
    assert noted.keys() == {"mac4", "mac5"}
    for one in (one for items in noted.values() for one in items):
        assert Path(one["path"]).exists()
        assert re.fullmatch("[0-9a-f]{64}", one["sha256"])
    assert tasks.main(["report", walk.desk.run.name, "--outputs", str(walk.desk.outputs)]) == 0
    shown = capsys.readouterr().out
    for name, (data, _) in noted.items():
        assert f"- {name}: data, {data['path']}, sha256 {data['sha256']}\n" in shown


def test_nothing_of_a_run_stays_on_hosts_but_its_mirror(lab: Lab, walk: Walk) -> None:
    assert {path.name for path in lab["mac5"].home.glob("thunder/outputs/*")} <= {"cache"}
    for name in ("mac4", "mac5"):
        assert not [*lab[name].home.glob("thunder/inputs/tokens-*")]


def test_the_mirror_of_a_window_is_removed_when_told_and_the_next_window_goes_on(
    walk: Walk,
) -> None:
    assert f"adapter/{walk.desk.run.name}" in walk.shown
    assert "1 run, " in walk.shown
    assert " removed" in walk.shown
    assert walk.left == []
    assert store.verify(Run(walk.desk.run)) == []


def test_ranks_that_cannot_be_spread_evenly_are_refused_by_name(desk: Desk) -> None:
    refused = desk.thunder("+profile=smoke", "train.ranks=3", "train.rank_weights=[1,1,1]")
    assert refused.returncode == 1
    assert "3 ranks over 2 hosts (mac4, mac5): use a multiple of 2" in refused.stderr


def test_four_ranks_are_two_on_each_host_and_told_with_the_tolerance_if_these_are_not_alike(
    lab: Lab, desk: Desk
) -> None:
    other = desk.root / "python"  # another processor, as far as its BLAS knows
    other.write_text(f'#!/bin/sh\nOPENBLAS_CORETYPE=Sandybridge exec {sys.executable} "$@"\n')
    other.chmod(0o755)
    desk.write_site(
        "unlike", ["mac4", "mac5"], hosts={"mac4": {}, "mac5": {"environment": str(other)}}
    )
    desk = Desk(desk.root, lab, "unlike")
    done = desk.thunder("+profile=smoke", "train.ranks=4", "train.rank_weights=[1,1,1,1]")
    assert done.returncode == 0, done.stdout + done.stderr
    assert files.read_json(desk.run / "checkpoint.json")["fingerprint"]["ranks_alike"] is False
    assert "within 0.001 (other machine or BLAS)" in done.stdout
    report = files.read_json(desk.run / "report.json")
    limits = report["remaining_limits"]
    assert any(limit.startswith("the ranks do not compute alike") for limit in limits)
    assert [(row["host"], row["ranks"]) for row in report["hosts"][1:]] == [
        ("mac4", [0, 1]),
        ("mac5", [2, 3]),
    ]
    assert_left_alone(lab)


def test_a_run_on_a_host_has_its_own_ranks_without_ssh_and_others_by_it(
    lab: Lab, desk: Desk, alone: Desk
) -> None:
    config = lab["mac4"].home / ".ssh/config"
    config.parent.mkdir(mode=0o700)
    shutil.copy(lab.folder / "ssh_config", config)
    hosts = {"mac4": {"workspace": "~/own"}, "mac5": {}}  # a whole run there bars ranks of others
    desk.write_site("there", ["mac4", "mac5"], runs_on=["mac4"], hosts=hosts)
    desk = Desk(desk.root, lab, "there")
    try:
        done = desk.thunder(*JOB, "target=20")
    finally:
        shutil.rmtree(config.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert desk.tensors(20) == alone.tensors(20)
    assert_left_alone(lab)


def test_a_rank_that_is_killed_is_named_with_its_host(lab: Lab, desk: Desk) -> None:
    with desk.start(*LONG) as runner:
        wait_for_line(runner, "train   step ")
        killed = lab["mac4"].run("kill", "-9", *host_runs.living_ranks_on(lab["mac4"]))
        assert killed.returncode == 0, killed.stderr
        told = runner.communicate(timeout=host_runs.SECONDS)[0]
    assert re.search(r"rank 0 \(pid \d+ on mac4\) was killed by SIGKILL", told), told
    assert "cause   ranks" in told
    assert_left_alone(lab)


def test_a_host_without_power_is_named_and_no_other_keeps_anything(lab: Lab, desk: Desk) -> None:
    with desk.start(*LONG, *DEADLINE) as runner:
        wait_for_line(runner, "train   step ")
        for link in ("ring", "ssh"):  # first: a kernel that ends would still close what it had open
            lab["mac5"].cut(link)
        lab["mac5"].die()
        told = runner.communicate(timeout=host_runs.SECONDS)[0]
    lab["mac5"].boot()
    assert re.search(r"rank 1 is out of reach: host mac5 \(mac5\): ", told), told
    assert "cause   ranks" in told
    assert_left_alone(lab)


def test_a_walk_through_mishaps_has_the_bytes_of_an_undisturbed_one(
    lab: Lab, desk: Desk, alone: Desk
) -> None:
    there = lab["mac4"].home / "thunder/outputs/adapter" / alone.run.name
    shutil.rmtree(there, ignore_errors=True)  # of an earlier test
    shutil.copytree(alone.run / "checkpoints", there / "checkpoints")  # not to be trusted
    told = cable_out_and_launcher_killed(lab, desk)
    assert "a mirror of another run folder is now " in told
    assert "brought home" not in told
    assert "train   step 1/20" in told
    for step in (desk.run / "checkpoints").iterdir():  # then mac4 alone has any
        shutil.rmtree(step)
    told = goes_on_over_a_slow_link(lab, desk)
    assert re.search(r"step \d+ brought home from host mac4", told), told
    assert not re.search(r"train   step [1-6]/20", told)
    saved = re.findall(r"saved step (\d+)", told)
    assert 1 < len(saved) < len(re.findall("train   step ", told))
    assert saved[-1] == "20"
    assert desk.tensors(20) == alone.tensors(20)
    assert [path.name for path in (desk.run / "checkpoints").iterdir()] == ["step-0000020"]
    assert_left_alone(lab)


def cable_out_and_launcher_killed(lab: Lab, desk: Desk) -> str:
    """Begin; pull the ring's cable for five seconds, which changes nothing; kill the launcher."""
    with desk.start(*JOB, "target=20") as runner:
        told = host_runs.read_to(runner, "train   step ", 1)
        lab["mac5"].cut("ring")
        try:
            assert not comes(lambda: runner.poll() is not None, 5.0)
        finally:
            lab["mac5"].heal("ring")
        told += host_runs.read_to(runner, "train   step 7/20", 1)
        runner.kill()
        told += runner.communicate(timeout=host_runs.SECONDS)[0]
    assert comes(
        lambda: not Run(desk.run).is_owned(), 30.0
    )  # what it had begun may save a step yet
    return told


def goes_on_over_a_slow_link(lab: Lab, desk: Desk) -> str:
    """Go on, where each pull takes longer than the steps to the next save."""
    device = ("tc", "qdisc", "replace", "dev", "eth0", "root")
    slow = ("tbf", "rate", "4mbit", "burst", "64kb", "latency", "200ms")
    assert lab["mac4"].run(*device, *slow).returncode == 0
    try:
        done = desk.thunder(*JOB[:-1], "target=20", "save_every=1")
    finally:
        lab["mac4"].run("tc", "qdisc", "delete", "dev", "eth0", "root")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_ring_cable_that_is_out_for_good_is_named(lab: Lab, desk: Desk) -> None:
    with desk.start(*LONG, *DEADLINE) as runner:
        wait_for_line(runner, "train   step ")
        lab["mac5"].cut("ring")
        try:
            told = runner.communicate(timeout=host_runs.SECONDS)[0]
        finally:
            lab["mac5"].heal("ring")
    assert "cause   ranks" in told
    assert f"the link mac4 → mac5 ({lab['mac4'].ring} → {lab['mac5'].ring}) is down" in told
    assert_left_alone(lab)


def test_a_full_disk_of_the_first_rank_is_the_cause_with_host_and_path(
    lab: Lab, desk: Desk
) -> None:
    small = lab["mac4"].home / "small"
    lab["mac4"].run("mkdir", "-p", str(small))
    mounted = lab["mac4"].run("mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(small))
    assert mounted.returncode == 0, mounted.stderr
    hosts = {"mac4": {"workspace": str(small / "thunder")}, "mac5": {}}
    desk.write_site("small", ["mac4", "mac5"], hosts=hosts)
    desk = Desk(desk.root, lab, "small")
    try:
        with desk.start(*LONG) as runner:
            wait_for_line(runner, "train   step ")
            lab["mac4"].run("sh", "-c", f"head -c 400m /dev/zero > {small}/fill")
            told = runner.communicate(timeout=host_runs.SECONDS)[0]
    finally:
        assert are_empty(lab["mac4"])
        lab["mac4"].run("umount", str(small))
    assert "cause   write" in told, told
    assert re.search(rf"host mac4[^\n]*: {small}/thunder/outputs/[^\n]*No space left", told), told
    assert_left_alone(lab)


def test_a_run_that_is_stopped_leaves_nothing_and_goes_on(lab: Lab, desk: Desk) -> None:
    with desk.start(*LONG) as runner:
        wait_for_line(runner, "note    saved step 50")
        runner.send_signal(signal.SIGTERM)
        told = runner.communicate(timeout=host_runs.SECONDS)[0]
    assert runner.returncode == 130, told
    assert_left_alone(lab)
    assert (desk.run / "checkpoints").is_dir()


def test_random_kills_leave_the_bytes_of_an_undisturbed_walk(
    lab: Lab, desk: Desk, alone: Desk, request: pytest.FixtureRequest
) -> None:
    words = (*JOB, "window=10", "target=20")
    chance, kills = random.Random(13), 0
    while kills < KILLS[request.config.getoption("--chaos")]:
        with desk.start(*words) as runner:
            moment = chance.choice(MOMENTS)
            told = host_runs.read_to(runner, moment, chance.randint(1, 2))
            if told.splitlines()[-1].startswith(moment):
                time.sleep(chance.uniform(0.0, 0.4))
                host_runs.strike(lab, runner, chance.choice(["launcher", "mac4", "mac5"]))
                kills += 1
            told += runner.communicate(timeout=host_runs.SECONDS)[0]
        assert "Traceback" not in told, told
        if runner.returncode == 0:  # it was done before it was struck, or was not struck at all
            assert desk.tensors(20) == alone.tensors(20)
            shutil.rmtree(desk.run)
    done = desk.thunder(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert desk.tensors(20) == alone.tensors(20)
    assert_left_alone(lab)
