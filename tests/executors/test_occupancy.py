"""No host has more runs at once than it may, though several launchers begin them."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import running
from far_runs import Away, quiet
from lab import Lab, Machine

from thunder.executors import occupancy
from thunder.hosts import connection, host
from thunder.runs import store

pytestmark = pytest.mark.slow
SLOW = ("dry.value=5", "dry.sleep_seconds=0.4")
WAITED = r"host mac4 has 1 run with jobs=1: dry [0-9a-f]{12}; waited for, or run elsewhere"


@pytest.fixture
def away(lab: Lab, tmp_path: Path) -> Away:
    return Away(lab, tmp_path / "mine", "mac4")


def another(away: Away, *hosts: str) -> Away:
    """Another project with the same hosts, whose runs there stay."""
    other = Away.__new__(Away)
    folder = away.folder.parent / "another"
    other.lab, other.folder, other.outputs = away.lab, folder, folder / "outputs"
    other.conf = folder / "conf"
    other.site(*hosts)
    return other


@contextmanager
def counted(machine: Machine) -> Iterator[list[int]]:
    """Count the runs that a machine has at once, while the block runs."""
    counts, ended = [0], threading.Event()

    def count() -> None:
        while not ended.wait(0.4):
            counts.append(sum("executors.away" in row for row in machine.processes()))

    counting = threading.Thread(target=count)
    counting.start()
    try:
        yield counts
    finally:
        ended.set()
        counting.join()


def test_slots_are_those_of_the_host_whoever_asks(lab: Lab) -> None:
    mac4 = host.of_site(lab.site())["mac4"]
    far = str(lab["mac4"].home / "w/outputs/dry/{}")
    with connection.opened(mac4) as one, connection.opened(mac4) as other:
        assert occupancy.take(one, far.format("a" * 12), "mine", 1) == ""
        occupancy.take(one, far.format("a" * 12), "mine", 1)  # a second time: it has it
        with pytest.raises(
            occupancy.Full, match="host mac4 has 1 run with jobs=1: dry aaaaaaaaaaaa"
        ):
            occupancy.take(other, far.format("b" * 12), "others", 1)
        assert occupancy.take(other, far.format("b" * 12), "others", 2) == "dry aaaaaaaaaaaa"
        with pytest.raises(occupancy.Full, match="has 2 runs with jobs=2"):
            occupancy.take(other, far.format("c" * 12), "others", 2)
        occupancy.leave(other, far.format("b" * 12), "others")
        occupancy.take(other, far.format("c" * 12), "others", 2)
    with connection.opened(mac4) as third:  # with who took them they are free
        occupancy.take(third, far.format("c" * 12), "others", 1)


def test_two_launchers_at_once_put_one_run_on_a_host(lab: Lab, away: Away) -> None:
    other = another(away, "mac4")
    with counted(lab["mac4"]) as counts:
        processes = [
            running.begin(*one.words("-m", "+profile=dry", f"seed={seeds}", *SLOW), lane="counting")
            for one, seeds in ((away, "1,2"), (other, "3,4"))
        ]
        outs = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    assert [code for *_, code in outs] == [0, 0], outs
    assert max(counts) == 1
    assert running.statuses(away.outputs) == running.statuses(other.outputs) == ["done"] * 2
    assert any(re.search(WAITED, out) for out, *_ in outs), outs
    assert quiet(lab["mac4"]) == []


@contextmanager
def filled(lab: Lab, away: Away) -> Iterator[Path]:
    """Have a run of another project in the only slot of mac4, until the file is there."""
    other = another(away, "mac4")
    process = running.begin(*other.words("+profile=dry"), lane="gated")
    running.wait_for(lambda: [*lab["mac4"].home.glob("thunder/outputs/dry/*/began")], "a run")
    gate = lab["mac4"].home / "thunder/outputs/go"
    yield gate
    gate.touch()
    assert running.ended(process)[0] == 0
    assert quiet(lab["mac4"]) == []


def test_a_host_that_others_have_filled_leaves_the_cells_to_the_next(lab: Lab, away: Away) -> None:
    away.site("mac4", "mac5")
    with filled(lab, away):
        ended = running.thunder(*away.words("-m", "+profile=dry", "seed=1,2"))
    assert ended.returncode == 0, ended.stdout
    assert len(re.findall(WAITED, ended.stdout)) == 1
    attempts = [run.record()["attempts"][0] for run in store.all_runs(away.outputs)]
    assert [one["provenance"]["host"]["name"] for one in attempts] == ["mac5", "mac5"]


def test_a_run_that_was_claimed_and_not_begun_has_no_slot_and_waits_for_one(
    lab: Lab, away: Away
) -> None:
    killed = "import os; from thunder.executors import owner; owner.spawn = lambda *_: os._exit(9)"
    words = running.command(*away.words("+profile=dry", "seed=1"))
    words[1:3] = ["-c", f"{killed}; from thunder.__main__ import main; main()"]
    assert subprocess.run(words, env=running.environment(), check=False).returncode == 9
    assert away.run().lives_on() == "mac4"
    code = "import sys; from thunder.commands import tasks; sys.exit(tasks.main())"
    attach = [sys.executable, "-c", code, "attach", away.run().folder.name]
    with filled(lab, away) as gate:
        attached = subprocess.Popen(
            [*attach, "--outputs", str(away.outputs)],
            stdout=subprocess.PIPE, text=True, env=running.environment(),
        )  # fmt: skip
        assert attached.stdout is not None
        assert "host mac4 has 1 run with jobs=1" in attached.stdout.readline()
        assert len([row for row in lab["mac4"].processes() if "executors.away" in row]) == 1
        gate.touch()
        rest = attached.communicate(timeout=60)[0]
    assert attached.returncode == 0, rest
    assert away.run().status() == "done"
