"""A process that dies at any file operation leaves nothing that the next command cannot mend."""

import re
import signal
import sys
from pathlib import Path

import chaos as chaotic
import pytest
import running
from chaos import RUNNER, TASK, TASKS, Chaos

from thunder.ground import folders
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


def sweep(
    chaos: Chaos, words: list[str], folder: Path, runs: int, *, short: int, long: int | None = None
) -> None:
    """Kill a runner at its operations, one after the other."""
    whole = folder / "whole"
    made = chaotic.operations(running.command(*words, f"outputs={whole}"), whole, RUNNER)
    undisturbed = chaotic.content(whole)
    assert len(made) > 20 * runs
    for at in chaos.sample(range(1, len(made) + 1), short, long):
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
    sweep(chaos, ["+profile=dry", "seed=7"], tmp_path, 1, short=4)


def test_a_matrix_killed_at_any_operation_is_mended_by_the_next_command(
    chaos: Chaos, tmp_path: Path
) -> None:
    sweep(chaos, words_of_matrix(tmp_path), tmp_path, 3, short=3, long=60)


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
    for at in chaos.sample(range(1, count + 1), short=2):
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
