"""What befalls a host while a run is on its way there: it goes on elsewhere, or there, whole."""

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import running
from far_runs import Away, quiet
from lab import Lab, Machine

from thunder.ground import files
from thunder.runs import claim, store

pytestmark = pytest.mark.slow
STEPS = [*range(1, 13)]
JOB = ("+profile=dry", "dry.value=12", "dry.sleep_seconds=0.2", "seed=12")  # 12 MB a checkpoint
SECONDS = 150


@pytest.fixture
def away(lab: Lab, tmp_path: Path) -> Away:
    """A project with a run that has checkpoints of 24 MB here, and has not ended."""
    away = Away(lab, tmp_path, "mac4", "mac5")
    process = running.begin(*JOB, f"outputs={away.outputs}", lane="counting")
    running.wait_for(lambda: [*away.outputs.glob("dry/*/checkpoints/step-0010")], "a checkpoint")
    process.send_signal(signal.SIGTERM)
    running.ended(process)
    assert away.run().status() == "paused"
    return away


def wait_for_sending(machine: Machine) -> None:
    sent = "thunder/outputs/dry/.incoming-*/checkpoints/*"
    running.wait_for(lambda: [*machine.home.glob(sent)], "a run on its way")
    time.sleep(0.5)


def is_whole(away: Away, on: str) -> None:
    """The run went on from where it was, on one host, and all of it is here."""
    run = away.run()
    rows = [*files.read_jsonl(run.folder / "computed.jsonl")]
    assert run.status() == "done"
    assert sorted({row["step"] for row in rows}) == STEPS
    assert rows[-1]["host"] == on
    assert len(rows) < len(STEPS) + 5  # from its checkpoint
    assert store.verify(run) == []
    assert claim.read(run.folder) is None
    assert quiet(away.lab[on]) == []


def kill_agent(machine: Machine) -> None:
    machine.run("pkill", "-9", "-f", "m.serve")


@pytest.mark.parametrize("befall", [kill_agent, Machine.cut], ids=["agent killed", "link lost"])
def test_a_run_that_was_on_its_way_to_a_host_goes_to_another(
    lab: Lab, away: Away, befall: Callable[[Machine], None]
) -> None:
    with lab["mac4"].slow(megabits=16):
        process = running.begin(*away.words(*JOB), lane="counting")
        wait_for_sending(lab["mac4"])
        befall(lab["mac4"])
        try:
            out, _ = process.communicate(timeout=SECONDS)
        finally:
            lab["mac4"].heal()
    assert process.returncode == 0, out
    assert out.count("warning host mac4 (mac4): ") == 1
    is_whole(away, "mac5")
    assert not away.there(lab["mac4"]).exists()


def start_anew(machine: Machine) -> None:
    with machine.nameless():
        machine.die()
        time.sleep(8)
        machine.boot()
        time.sleep(4)


@pytest.mark.parametrize("befall", [kill_agent, start_anew], ids=["agent killed", "started anew"])
def test_the_only_host_is_waited_for_and_gets_what_is_lacking(
    lab: Lab, away: Away, befall: Callable[[Machine], None]
) -> None:
    away.site("mac4")
    with ExitStack() as slow:
        slow.enter_context(lab["mac4"].slow(megabits=16))
        process = running.begin(*away.words(*JOB), lane="counting")
        wait_for_sending(lab["mac4"])
        befall(lab["mac4"])
    out, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, out
    assert out.count("waited for, for 120 s") == 1
    is_whole(away, "mac4")


def test_a_disk_that_fills_up_on_the_way_is_named_and_another_host_gets_the_run(
    lab: Lab, away: Away
) -> None:
    small = lab["mac4"].home / "small"
    small.mkdir(exist_ok=True)
    lab["mac4"].run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(small))
    try:
        hosts = {"mac4": {"workspace": str(small)}, "mac5": {}}
        away.site("mac4", "mac5", hosts=hosts)
        ended = running.thunder(*away.words(*JOB), lane="counting")
        assert ended.returncode == 0, ended.stdout
        assert "No space left on device" in ended.stdout
        assert "not run there" in ended.stdout
        is_whole(away, "mac5")
    finally:
        lab["mac4"].run("umount", str(small))
