"""A host takes no run that has not room there; a run that fits no host is refused at the start."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import running
from far_runs import Away
from lab import Lab

from thunder.executors import fitting
from thunder.executors.occupancy import Full
from thunder.ground.errors import Faults
from thunder.ground.kind import Room
from thunder.hosts import connection, host
from thunder.jobs.job import Job
from thunder.runs import store

pytestmark = pytest.mark.slow
_WITH_ROOM = """
import sys
from thunder.jobs import kinds
kinds.KINDS["dry"] = kinds.Kind("thunder.lanes.dry.job:run", 1, room="odd_lanes:room")
from thunder.__main__ import main
sys.exit(main())
"""
FACTS = {"memory": 8e9, "free_disk": 50e9}


@pytest.fixture
def away(lab: Lab, tmp_path: Path) -> Iterator[Away]:
    """A project whose first host has a disk of 64 MB."""
    small = lab["mac4"].home / "small"
    small.mkdir(exist_ok=True)
    lab["mac4"].run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(small))
    hosts = {"mac4": {"workspace": str(small)}, "mac5": {}}
    yield Away(lab, tmp_path, "mac4", "mac5", hosts=hosts)
    lab["mac4"].run("umount", str(small))


def thunder(away: Away, *words: str) -> "subprocess.CompletedProcess[str]":
    """A command by which a dry run takes as many MB as its value."""
    command = running.command(*away.words(*words))
    command[1:3] = ["-c", _WITH_ROOM]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=90, check=False, env=running.environment()
    )


@pytest.mark.parametrize(
    ("room", "lacks"),
    [
        (Room(9 * 10**9, None, {}), "about 9.00 GB of memory needed, 8.00 GB there"),
        (Room(None, 60 * 10**9, {}), "about 60.00 GB of disk needed, 50.00 GB there"),
        (Room(8 * 10**9, 50 * 10**9, {}), ""),
        (Room(None, None, {}), ""),
    ],
)
def test_what_a_run_takes_is_held_against_what_a_host_has(room: Room, lacks: str) -> None:
    assert fitting._lacks(room, FACTS) == lacks


def test_what_a_system_does_not_say_of_itself_bars_nothing() -> None:
    assert fitting._lacks(Room(10**15, 1, {}), {"memory": None, "free_disk": 2}) == ""


def test_memory_that_other_runs_have_is_waited_for(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = host.of_site(lab.site())["mac5"]
    with connection.opened(one) as way:
        facts = way.call("facts", folder="~")
        between = (facts["free_memory"] + facts["memory"]) // 2
        for size, others, refusal in (
            (between, "dry 0be9a12af248", Full),
            (between, "", fitting.Unfit),
            (2 * facts["memory"], "dry 0be9a12af248", fitting.Unfit),
        ):
            taken = Room(size, None, {})
            monkeypatch.setattr(fitting, "_room", lambda *_, taken=taken, **__: taken)
            with pytest.raises(refusal, match=r"host mac5: about .* of memory needed"):
                fitting.check(way, {}, others, is_new=True)


def test_windows_of_one_job_are_refused_by_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    site = {"runs_on": ["mac4"], "hosts": {"mac4": {}}}
    job = Job("0" * 12, {"kind": "dry", "runtime": {"site": site, "reproduce": ""}})
    monkeypatch.setattr(fitting, "_room", lambda *_, **__: Room(9 * 10**9, None, {}))
    monkeypatch.setattr(fitting, "_facts", lambda _: {"mac4": FACTS})
    with pytest.raises(Faults) as told:
        fitting.unfit([job, job], ())
    assert len(told.value.faults) == 1


def test_each_host_takes_the_next_cell_that_fits_it(away: Away) -> None:
    ended = thunder(away, "-m", "+profile=dry", "dry.value=100,200,1,2", "dry.sleep_seconds=1.5")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    attempts = {
        run.metrics()["value"]: run.record()["attempts"][0] for run in store.all_runs(away.outputs)
    }
    hosts = {value: one["provenance"]["host"]["name"] for value, one in attempts.items()}
    assert (hosts[100.0], hosts[200.0], hosts[1.0]) == ("mac5", "mac5", "mac4")
    assert attempts[1.0]["started"] < attempts[200.0]["started"]  # nobody waited for mac5
    passed = r"host mac4: about 0.\d0 GB of disk needed, 0.0\d GB there; not run there"
    assert len(re.findall(passed, ended.stdout)) == 2


def test_what_fits_no_host_is_refused_before_anything_runs(away: Away) -> None:
    ended = thunder(away, "-m", "+profile=dry", "dry.value=1,1e9", "dry.sleep_seconds=0.5")
    assert ended.returncode == 1
    assert "nothing was run; what fits no host of the site (runs_on):" in ended.stderr
    (line,) = [row for row in ended.stderr.splitlines() if "needed" in row]
    assert re.search(
        r"dry [0-9a-f]{12}: mac4: about 1000000.00 GB of disk needed, 0.0\d GB there; "
        r"mac5: about 1000000.00 GB of disk needed, \d+.\d\d GB there",
        line,
    )
    assert list(store.all_runs(away.outputs)) == []


def test_an_adapter_is_not_sent_to_a_disk_that_is_too_small_for_it(away: Away) -> None:
    away.site("mac4", hosts={"mac4": {"workspace": str(away.lab["mac4"].home / "small")}})
    ended = running.thunder(*away.words("+profile=smoke"))
    assert ended.returncode == 1
    assert re.search(r"mac4: about 0.27 GB of disk needed, 0.0\d GB there", ended.stderr)
    assert list(store.all_runs(away.outputs)) == []


def test_a_host_that_does_not_answer_may_fit(away: Away) -> None:
    away.site("mac4", "nowhere", hosts={"mac4": {}, "nowhere": {}})
    ended = thunder(away, "+profile=dry", "dry.value=1e9")
    assert "nothing was run" not in ended.stderr
    assert ended.returncode == 1
    assert "no host can take this run:" in ended.stdout
    assert "of disk needed" in ended.stdout
    assert "no machine of that name" in ended.stdout
