"""metrics.jsonl: rows of numbers that a crash may tear and a resumed run cuts."""

from pathlib import Path

import pytest

from thunder.ground import run_files
from thunder.ground.errors import Faults
from thunder.training import metrics


def test_a_torn_row_is_left_out_and_cut_away(tmp_path: Path) -> None:
    for step in (1, 2):
        metrics.add(tmp_path, {"step": step, "loss": 1.0})
    with (tmp_path / run_files.ROWS).open("a", encoding="utf-8") as stream:
        stream.write('{"step": 3, "lo')
    assert [row["step"] for row in metrics.rows(tmp_path)] == [1, 2]
    metrics.cut(tmp_path, 1)
    assert (tmp_path / run_files.ROWS).read_text() == '{"loss": 1.0, "step": 1}\n'


def test_a_file_that_is_right_is_not_written_again(tmp_path: Path) -> None:
    metrics.write(tmp_path, [{"step": 1, "loss": 1.0}])
    before = (tmp_path / run_files.ROWS).stat().st_ino
    metrics.cut(tmp_path, 1)
    assert (tmp_path / run_files.ROWS).stat().st_ino == before


def test_a_step_has_a_number_by_its_name_where_it_was_measured(tmp_path: Path) -> None:
    assert metrics.at_step(tmp_path, 1, "valid_loss") is None
    metrics.write(tmp_path, [{"step": 1, "loss": 2.0}, {"step": 1, "valid_loss": 0.5}])
    numbers = [metrics.at_step(tmp_path, step, "valid_loss") for step in (1, 2)]
    assert numbers == [0.5, None]


def test_a_row_of_what_is_no_number_is_not_written(tmp_path: Path) -> None:
    metrics.add(tmp_path, {"step": 1, "loss": None})
    for row in ({"step": 2, "loss": float("nan")}, {"loss": 1.0}, {"step": 2, "Loss": 1.0}):
        with pytest.raises(Faults) as caught:
            metrics.add(tmp_path, row)
        assert caught.value.cause == "crash"
    with pytest.raises(Faults):
        metrics.write(tmp_path, [{"step": 1, "loss": 1.0}, {"step": -1}])
    assert metrics.rows(tmp_path) == [{"step": 1, "loss": None}]
