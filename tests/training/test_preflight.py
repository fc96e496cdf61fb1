"""Rows of checks: passed, failed with a cause, or skipped with a reason; never one for another."""

import pytest

from thunder.ground import schema
from thunder.ground.errors import Faults, ThunderError
from thunder.training import events
from thunder.training.preflight import Checks, Skip


def checked() -> Checks:
    """Return one check of each outcome, two that failed, and one that needs a failed one."""
    checks = Checks("here")
    with checks.check("disk", "environment") as measured:
        measured("1 GB")
    with checks.check("rows", "data") as measured:
        measured("7 rows")
        raise ThunderError("too few")
    with checks.check("ring", "ranks"):
        raise Skip("one rank")
    with checks.check("tokens", "data"):
        checks.needs("rows")
    with checks.check("model", "data"):
        raise ThunderError("torn", "model")
    return checks


def test_a_row_says_what_was_measured_or_why_it_was_not() -> None:
    rows = [(r["check"], r["status"], r["measured"], r["reason"]) for r in checked().rows]
    assert rows == [
        ("disk", "PASS", "1 GB", ""),
        ("rows", "FAIL", "7 rows", "too few"),
        ("ring", "SKIPPED", "", "one rank"),
        ("tokens", "SKIPPED", "", "needs: rows"),
        ("model", "FAIL", "", "torn"),
    ]
    assert schema.faults("event", events.checks("preflight", checked().rows)) == []


def test_only_what_passed_has_passed() -> None:
    checks = checked()
    assert [r["check"] for r in checks.rows if checks.passed(r["check"])] == ["disk"]


def test_all_faults_are_refused_with_the_cause_of_the_first() -> None:
    with pytest.raises(Faults, match="nothing was done") as caught:
        checked().refuse("nothing was done:")
    assert caught.value.faults == ["rows (here): too few", "model (here): torn"]
    assert caught.value.cause == "data"


def test_what_has_no_failed_check_is_not_refused() -> None:
    checks = Checks("here")
    with checks.check("ring", "ranks"):
        raise Skip("one rank")
    checks.refuse("nothing was done:")


def test_an_error_of_ours_is_no_failed_check() -> None:
    checks = Checks("here")
    with pytest.raises(ZeroDivisionError), checks.check("sum", "data"):
        raise ZeroDivisionError
    assert checks.rows == []
