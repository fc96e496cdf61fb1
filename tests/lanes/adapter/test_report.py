"""The report of a run that did not reach its step says so, and what stands in the way."""

from pathlib import Path

from thunder.commands import requests
from thunder.ground import files
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.adapter import report
from thunder.lanes.adapter.context import Context
from thunder.lanes.adapter.inputs import Inputs
from thunder.training.preflight import Checks, Skip


def context_of(folder: Path) -> Context:
    """Return the context of a smoke job that has found nothing yet."""
    config = requests.read(["+profile=smoke"]).cells[0].job.config
    return Context(config, folder, Inputs(folder / "model", folder / "data", ("model",)), folder)


def test_a_failed_run_has_a_report_with_the_cause_first(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    checks = Checks(context.host)
    with checks.check("model complete", "model"):
        raise ThunderError("model.safetensors ends at 9.8 %", "model")
    path = report.write_failed(
        context, checks.rows, 4, ThunderError("nothing was trained", "model")
    )
    document = files.read_json(tmp_path / "report.json")
    assert document["checkpoint_reached"] is False
    assert (document["step"], document["goal"]) == (0, 4)
    assert document["remaining_limits"][0] == "model: nothing was trained"
    text = path.read_text(encoding="utf-8")
    assert "step 4 was **not** reached" in text
    assert "model.safetensors ends at 9.8 %" in text


def test_what_was_skipped_is_a_limit_and_never_a_pass(tmp_path: Path) -> None:
    checks = Checks("h")
    with checks.check("ring smoke", "ranks"):
        raise Skip("r")
    report.write_failed(context_of(tmp_path), checks.rows, 4, ThunderError("x", "ranks"))
    document = files.read_json(tmp_path / "report.json")
    assert "ring smoke on h was not checked: r" in document["remaining_limits"]
    assert not checks.passed("ring smoke")


def test_a_reason_of_several_lines_is_one_row_of_the_table(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    checks = Checks(context.host)
    with checks.check("config valid", "config"):
        raise Faults("two faults:", ["a | b", "c"], "config")
    path = report.write_failed(context, checks.rows, 4, ThunderError("x", "config"))
    (row,) = (line for line in path.read_text().splitlines() if line.startswith("| config valid"))
    assert row.endswith(r"| FAIL | two faults:   a \| b   c |")
