"""A process of a training that dies at any file operation: the run ends in the same bytes.

A training per kill, which a suite has no time for: `--chaos=long` collects this module.
"""

from pathlib import Path
from typing import Any

import chaos as chaotic
import pytest
import running
from chaos import RANK, RUN, RUNNER, Chaos

from thunder.ground import run_files

pytestmark = pytest.mark.slow

TINY = [
    "+profile=smoke", "train.steps=6", "window=3", "target=6", "save_every=2", "eval_every=3",
    "adapter.layers=2", "model.source.hidden=32", "model.source.layers=2",
    "data.source.rows=80", "train.valid_rows=8", "train.sequence_length=256",
]  # fmt: skip


def trained(outputs: Path) -> dict[str, Any]:
    """Return all that a training comes to, but for how long it took."""
    run = running.only_run(outputs)
    timed = ("seconds", "tokens_per_second", "train_seconds", "peak_memory_bytes")
    numbers = [run.metrics(), *run.rows()]
    return {
        "numbers": [{k: v for k, v in row.items() if k not in timed} for row in numbers],
        **chaotic.content(outputs, "config.json", ".safetensors"),
    }


def kill_trainings(chaos: Chaos, folder: Path, role: str, count: int, *, torn: bool) -> None:
    """Kill a process of a training at some of its operations, and compare what it comes to."""
    whole = folder / "whole"
    made = chaotic.operations(running.command(*TINY, f"outputs={whole}"), whole, role)
    undisturbed = trained(whole)
    is_added = [name.startswith("open") and name.endswith(run_files.ROWS) for name in made]
    candidates = [at for at, is_row in enumerate(is_added, 1) if is_row or not torn]
    assert candidates
    for at in chaos.sample(candidates, 0, count):
        outputs = folder / f"killed-{at}"
        command = running.command(*TINY, f"outputs={outputs}")
        chaotic.killed_at(command, outputs, role, at, torn=torn)
        chaotic.assert_nothing_is_believed_falsely(outputs)
        again = chaotic.ran(*TINY, f"outputs={outputs}")
        assert again.code == 0, again.out + again.err
        chaotic.assert_all_are_proven(outputs, 1)
        assert trained(outputs) == undisturbed, made[at - 1]
        chaos.tally["kills in trainings"] += 1


@pytest.mark.parametrize("role", [RUNNER, RUN, RANK])
def test_a_training_killed_at_any_operation_ends_in_the_same_bytes(
    chaos: Chaos, tmp_path: Path, role: str
) -> None:
    kill_trainings(chaos, tmp_path, role, 3, torn=False)


@pytest.mark.parametrize("role", [RUN, RANK])
def test_a_training_killed_in_the_middle_of_a_row_ends_in_the_same_bytes(
    chaos: Chaos, tmp_path: Path, role: str
) -> None:
    kill_trainings(chaos, tmp_path, role, 2, torn=True)
