"""A process that dies at any file operation leaves nothing that the next command cannot mend."""

import re
import signal
import sys
from pathlib import Path
from typing import Any

import chaos as chaotic
import pytest
import running
from chaos import RANK, RUN, RUNNER, TASK, TASKS, Chaos

from thunder.ground import folders, run_files
from thunder.runs import store

pytestmark = pytest.mark.slow

MATRIX = """\
profile: own_three
axes:
  seed: [0, 1, 2]
  dry.value: [1]
table:
  over: seed
  metrics: [value]
"""


def words_of_matrix(folder: Path, *more: str) -> list[str]:
    """Return the words of a matrix of three cells, two at a time."""
    conf = running.write_matrix(folder, "three", MATRIX)
    return ["--config-dir", str(conf), "matrix=three", "jobs=2", *more]


def assert_the_next_command_mends(
    words: list[str], outputs: Path, runs: int, undisturbed: dict[str, bytes]
) -> None:
    """Run once more, and compare with what a run without a kill left."""
    chaotic.assert_nothing_is_believed_falsely(outputs)
    again = chaotic.ran(*words, f"outputs={outputs}")
    assert again.code == 0, again.out + again.err
    chaotic.assert_all_are_proven(outputs, runs)
    assert chaotic.content(outputs) == undisturbed
    for run in store.all_runs(outputs):
        assert running.names_in(run.folder) == running.DRY_FOLDER


def sweep(chaos: Chaos, words: list[str], folder: Path, runs: int, short: int) -> None:
    """Kill a runner at its operations, one after the other."""
    whole = folder / "whole"
    made = chaotic.operations(running.command(*words, f"outputs={whole}"), whole, RUNNER)
    undisturbed = chaotic.content(whole)
    assert len(made) > 20 * runs
    for at in chaos.sample(range(1, len(made) + 1), short):
        outputs = folder / f"killed-{at}"
        command = running.command(*words, f"outputs={outputs}")
        done = chaotic.killed_at(command, outputs, RUNNER, at)
        # Which operations there are can differ by those of a thread that came later.
        assert done.returncode in (-signal.SIGKILL, 0), done.stdout + done.stderr
        assert at > len(made) - runs or done.returncode == -signal.SIGKILL
        assert_the_next_command_mends(words, outputs, runs, undisturbed)
        chaos.tally["kills at a file operation"] += 1


def test_a_run_killed_at_any_operation_is_mended_by_the_next_command(
    chaos: Chaos, tmp_path: Path
) -> None:
    sweep(chaos, ["+profile=dry", "seed=7"], tmp_path, 1, short=6)


def test_a_matrix_killed_at_any_operation_is_mended_by_the_next_command(
    chaos: Chaos, tmp_path: Path
) -> None:
    sweep(chaos, words_of_matrix(tmp_path), tmp_path, 3, short=5)


TINY = [
    "+profile=smoke", "train.steps=6", "window=3", "target=6", "save_every=2", "eval_every=3",
    "adapter.layers=2", "model.source.hidden=32", "model.source.layers=2",
    "data.source.rows=80", "train.valid_rows=8", "train.sequence_length=256",
]  # fmt: skip


def trained(outputs: Path) -> dict[str, Any]:
    """Return all that a training comes to, but for how long it took."""
    run = running.only_run(outputs)
    timed = ("seconds", "tokens_per_second", "train_seconds")
    numbers = [run.metrics(), *run.rows()]
    return {
        "numbers": [{k: v for k, v in row.items() if k not in timed} for row in numbers],
        **chaotic.content(outputs, "config.json", ".safetensors"),
    }


def kill_trainings(chaos: Chaos, folder: Path, role: str, count: int, *, torn: bool) -> None:
    """Kill a process of a training at some of its operations, and compare what it comes to."""
    if not chaos.is_long:
        pytest.skip("a training per kill: --chaos=long has them")
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
    kill_trainings(chaos, tmp_path, role, 4, torn=False)


@pytest.mark.parametrize("role", [RUN, RANK])
def test_a_training_killed_in_the_middle_of_a_row_ends_in_the_same_bytes(
    chaos: Chaos, tmp_path: Path, role: str
) -> None:
    kill_trainings(chaos, tmp_path, role, 2, torn=True)


@pytest.mark.parametrize("task", ["table", "promote"])
def test_a_task_killed_at_any_operation_leaves_what_its_check_sees(
    chaos: Chaos, tmp_path: Path, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.let_code_be_committed(monkeypatch)
    outputs = tmp_path / "outputs"
    words = words_of_matrix(tmp_path, f"outputs={outputs}")
    assert chaotic.ran(*words).code == 0
    made = {"table": folders.TABLES, "promote": folders.PROMOTIONS}[task]
    question = [task, "three", "--config-dir", words[1], "--outputs", str(outputs)]
    command = [sys.executable, "-c", TASK, *question]
    count = len(chaotic.operations(command, outputs, TASKS))
    whole = read_all(outputs / made)
    assert len(whole) > 1
    assert count > 4 * len(whole)
    for at in chaos.sample(range(1, count + 1), short=4):
        for path in (outputs / made).iterdir():
            path.unlink()
        done = chaotic.killed_at(command, outputs, TASKS, at)
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
        left = read_all(outputs / made)
        assert left.items() <= whole.items()
        if task == "table":
            checked = chaotic.asked(*question, "--check")
            assert (checked.code == 0) == (left == whole), checked.out
        assert chaotic.asked(*question).code == 0
        assert read_all(outputs / made) == whole
        chaos.tally["kills at a file operation"] += 1


def read_all(folder: Path) -> dict[str, str]:
    """Return the files of a folder but for those that are not finished, times left out."""
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return {path.name: without_times(path) for path in paths}


def without_times(path: Path) -> str:
    """Return what a file says, but for when it was made."""
    said = path.read_bytes().decode("utf-8", errors="surrogateescape")
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "then", said)
