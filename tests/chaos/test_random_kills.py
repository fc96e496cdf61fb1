"""Runners and runs that die at random moments, alone and in crowds on one matrix."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import chaos as chaotic
import pytest
import running
from chaos import Chaos

from thunder.runner import loop as runner
from thunder.runs import store

pytestmark = pytest.mark.slow

CELLS = 6
WORDS = ["-m", "+profile=dry", f"seed=range(0,{CELLS})", "dry.sleep_seconds=0.1", "jobs=2"]


def undisturbed(folder: Path) -> dict[str, bytes]:
    """Return what the cells leave when nobody is killed."""
    assert chaotic.ran(*WORDS, f"outputs={folder}").code == 0
    return chaotic.content(folder)


def kill_somebody(process: "subprocess.Popen[str]", outputs: Path, chance: random.Random) -> None:
    """Kill a runner, or one of the runs that it has begun."""
    children = running.children(outputs)
    victim = chance.choice([process.pid, *children])
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:  # it has ended since
        return


def free(outputs: Path) -> None:
    """Wait until nobody works in a folder of outputs."""
    running.wait_for(lambda: not running.children(outputs), "the end of all children")
    running.wait_for(lambda: "running" not in running.statuses(outputs), "free locks")


def test_kills_at_random_moments_lose_nothing_and_double_nothing(
    chaos: Chaos, tmp_path: Path
) -> None:
    expected = undisturbed(tmp_path / "whole")
    for seed in range(chaos.of(1, 12)):
        chance, outputs = random.Random(seed), tmp_path / str(seed)
        for _ in range(chaos.of(5, 8)):
            process = running.begin(*WORDS, f"outputs={outputs}")
            time.sleep(chance.uniform(0.2, 0.9))
            kill_somebody(process, outputs, chance)
            code, out, err = running.ended(process)
            assert "Traceback" not in out + err
            assert code in (0, runner.EXIT_FAILED, -signal.SIGKILL)
            free(outputs)
            chaotic.assert_nothing_is_believed_falsely(outputs)
            chaos.tally["kills at a random moment"] += 1
        assert chaotic.ran(*WORDS, f"outputs={outputs}").code == 0
        chaotic.assert_all_are_proven(outputs, CELLS)
        assert chaotic.content(outputs) == expected
        chaos.tally["runs killed or made again"] += running.attempts(outputs)


@pytest.mark.parametrize("is_waiting", [True, False], ids=["wait=true", "wait=false"])
def test_runners_on_one_matrix_make_every_cell_once_though_one_is_killed(
    chaos: Chaos, tmp_path: Path, is_waiting: bool
) -> None:
    expected = undisturbed(tmp_path / "whole")
    for seed in range(chaos.of(1, 5)):
        chance, outputs = random.Random(seed), tmp_path / str(seed)
        words = [*WORDS, f"outputs={outputs}", f"wait={str(is_waiting).lower()}"]
        crowd = [running.begin(*words) for _ in range(chaos.of(3, 10))]
        time.sleep(chance.uniform(0.4, 0.9))
        crowd[0].kill()
        endings = [running.ended(process) for process in crowd]
        allowed = {0} if is_waiting else {0, runner.EXIT_ELSEWHERE}
        assert {code for code, _, _ in endings[1:]} <= allowed, endings
        assert {err for _, _, err in endings} == {""}
        free(outputs)
        if is_waiting:
            chaotic.assert_all_are_proven(outputs, CELLS)
        assert chaotic.ran(*WORDS, f"outputs={outputs}").code == 0
        chaotic.assert_all_are_proven(outputs, CELLS)
        assert chaotic.content(outputs) == expected
        made = [len(run.record()["attempts"]) for run in store.all_runs(outputs)]
        assert sum(made) <= CELLS + 2  # those that died with their runner were made again
        chaos.tally["runners on one matrix"] += len(crowd)
