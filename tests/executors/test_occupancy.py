"""No host has more runs at once than it may, though several launchers begin them."""

import re
import subprocess
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
SLOW = ("dry.value=10", "dry.sleep_seconds=0.3")
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
        while not ended.wait(0.1):
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
        occupancy.take(one, far.format("a" * 12), "mine", 1)
        occupancy.take(one, far.format("a" * 12), "mine", 1)  # a second time: it has it
        with pytest.raises(
            occupancy.Full, match="host mac4 has 1 run with jobs=1: dry aaaaaaaaaaaa"
        ):
            occupancy.take(other, far.format("b" * 12), "others", 1)
        occupancy.take(other, far.format("b" * 12), "others", 2)
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
        outs = [running.ended(process) for process in processes]
    assert [code for code, *_ in outs] == [0, 0], outs
    assert max(counts) == 1
    assert running.statuses(away.outputs) == running.statuses(other.outputs) == ["done"] * 2
    assert any(re.search(WAITED, out) for _, out, _ in outs), outs
    assert quiet(lab["mac4"]) == []


def test_a_host_that_others_have_filled_leaves_the_cells_to_the_next(lab: Lab, away: Away) -> None:
    first = running.begin(
        *away.words("+profile=dry", *SLOW[:1], "dry.sleep_seconds=0.8"), lane="counting"
    )
    running.wait_for(lambda: lab["mac4"].run("pgrep", "-f", "executors.away").stdout, "a run")
    other = another(away, "mac4", "mac5")
    ended = running.thunder(*other.words("-m", "+profile=dry", "seed=1,2"))
    assert ended.returncode == 0, ended.stdout
    assert len(re.findall(WAITED, ended.stdout)) == 1
    hosts = {
        run.record()["attempts"][0]["provenance"]["host"]["name"]
        for run in store.all_runs(other.outputs)
    }
    assert hosts == {"mac5"}
    assert first.poll() is None
    assert running.ended(first)[0] == 0


def test_a_run_that_was_claimed_and_not_begun_has_no_slot_and_waits_for_one(
    lab: Lab, away: Away
) -> None:
    killed = (
        "from thunder.executors import sending; import os; sending.spawn = lambda *_: os._exit(9)"
    )
    words = running.command(*away.words("+profile=dry"))
    words[1:3] = ["-c", f"{killed}; from thunder.__main__ import main; main()"]
    assert subprocess.run(words, env=running.environment(), check=False).returncode == 9
    assert away.run().lives_on() == "mac4"
    other = another(away, "mac4")
    first = running.begin(*other.words("+profile=dry", *SLOW), lane="counting")
    running.wait_for(lambda: lab["mac4"].run("pgrep", "-f", "executors.away").stdout, "a run")
    with counted(lab["mac4"]) as counts:
        attached = away.task("attach", away.run().folder.name)
    assert (attached.returncode, max(counts)) == (0, 1), attached.stdout
    assert "host mac4 has 1 run with jobs=1" in attached.stdout
    assert away.run().status() == "done"
    assert running.ended(first)[0] == 0
