"""What a lane tells while it works: enough, and not more."""

import time
from typing import Any

import pytest
from running import wait_for

from thunder.training import events, progress


def test_a_long_call_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "BEAT_SECONDS", 0.01)
    told: list[dict[str, Any]] = []
    with progress.beating(told.append):
        wait_for(lambda: len(told) >= 3, "three beats")
    assert told[0] == {"event": "beat"}
    heard = len(told)
    time.sleep(0.05)
    assert len(told) == heard


def test_a_call_that_never_ends_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(progress, "MOST_SECONDS", 0.1)
    told: list[dict[str, Any]] = []
    with progress.beating(told.append):
        wait_for(lambda: bool(told), "a beat")
        time.sleep(0.3)
        heard = len(told)
        time.sleep(0.1)
        assert len(told) == heard


def test_what_comes_too_soon_is_left_out_unless_it_must_not_be_missed() -> None:
    told: list[dict[str, Any]] = []
    throttle = progress.Throttle(told.append)
    for number in (1, 2, 3):
        throttle.tell(events.note(str(number)), surely=number == 3)
    throttle.beat()
    assert [event["text"] for event in told] == ["1", "3"]


def test_rows_are_told_when_all_are_done_and_count_what_an_earlier_attempt_made() -> None:
    told: list[dict[str, Any]] = []
    rows = progress.Progress(told.append, 97, 100, unit="pages")
    for _ in range(3):
        rows.add()
    (last,) = told
    assert (last["step"], last["of"], last["counts"]) == (100, 100, "rows")
    assert last["unit"] == "pages"
    assert rows.per_second > 0


def test_the_log_has_what_a_person_would_read(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[dict[str, Any]] = []
    sent = [events.phase("train", "go"), events.warning("slow"), events.note("n"), events.beat()]
    for event in sent:
        progress.written(told.append)(event)
    assert told == sent
    assert capsys.readouterr().out == "phase   train go\nwarning  slow\nnote     n\n"
