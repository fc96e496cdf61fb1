"""Files on their way: a line now and then in a log, a bar in a terminal."""

import io
import time

import pytest
from rich.console import Console

from thunder.ground import moving as lines
from thunder.screen import moving, terminal


def test_a_log_has_a_line_every_ten_seconds_with_bytes_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    said: list[str] = []
    with moving.shown("mac4  model tiny", said.append) as show:
        for second in range(31):
            now = 100.0 + second
            # 500 MB were there, left by a cut: no part of the rate.
            show(500_000_000 + second * 10_000_000, 1_000_000_000)
        show(1_000_000_000, 1_000_000_000)
    assert said == [
        "mac4  model tiny  600 of 1,000 MB, 10.0 MB/s, 40 s left",
        "mac4  model tiny  700 of 1,000 MB, 10.0 MB/s, 30 s left",
        "mac4  model tiny  800 of 1,000 MB, 10.0 MB/s, 20 s left",
    ]


def test_what_does_not_move_has_no_time_left() -> None:
    assert lines.progress(0, 1_000_000, 0.0) == "0 of 1 MB, 0.0 MB/s, no byte yet"


def test_a_terminal_has_a_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with terminal.moving("mac4  model \x1b[31mtiny", console) as show:
        show(500_000, 1_000_000)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert "mac4  model" in printed
    assert "\x1b[31mtiny" not in printed
