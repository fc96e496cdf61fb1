"""What is shown can be read and not obeyed: control characters in words from outside."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from rich.console import Console

from thunder.ground.wording import printable
from thunder.screen import streams, terminal

ESCAPES = ["\x1b[2J", "\x1b]0;title\x07", "\x00", "\x08", "\r", "\x7f", "\x9b31m"]


@pytest.mark.parametrize("escape", ESCAPES)
def test_a_control_character_is_shown_and_not_obeyed(escape: str) -> None:
    stream = io.StringIO()
    print(f"a{escape}b\tc ߒߞߏ", file=streams.Escaped(stream))
    line = stream.getvalue()
    assert line.startswith(f"a\\u{ord(escape[0]):04x}")
    assert line.endswith("b\tc ߒߞߏ\n")
    assert not {*line} & {*escape} - {*"[2J]0;title31m"}


def test_json_that_is_printed_stays_json() -> None:
    value = {"name": "".join(ESCAPES)}
    assert json.loads(printable(json.dumps(value, ensure_ascii=False))) == value


@pytest.mark.parametrize("many", [False, True])
def test_a_terminal_gets_no_control_character_of_an_event(many: bool) -> None:
    stream = io.StringIO()
    screen = terminal.Terminal(many=many, console=Console(file=stream, width=200))
    row = {
        "check": "c\x1b[1m",
        "host": "h\x9b",
        "status": "PASS",
        "measured": "m\x07",
        "reason": "",
    }
    planned: Any = None
    screen.event(planned, {"event": "warning", "text": "w\x1b[2J"})
    screen.event(planned, {"event": "checks", "title": "t\x1b[3J", "rows": [row]})
    screen.say("s\x1b]0;x\x07")
    assert not {*stream.getvalue()} & {"\x1b", "\x07", "\x9b"}
    assert "w\\u001b[2J" in stream.getvalue()


def test_inv_prepares_the_streams_as_thunder_does(tmp_path: Path) -> None:
    code = "from thunder.commands import collection, tasks\nimport sys\n"
    code += "collection.run(tasks.TASKS, ['show', 'a\\x1b[2J'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True, timeout=60
    )
    assert "\x1b" not in done.stdout + done.stderr
    assert re.search(r"\\(x|u00)1b\[2J", done.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ["+profile=\x1b[2J"], ["+profile=dry", "x\x1b[2J=3"], ["matrix=\x1b[2J"],
        ["--config-dir", "\x1b[2J"], ["--\x1b[2J"],
    ],
)  # fmt: skip
def test_a_word_of_the_command_line_comes_back_escaped(
    run_thunder: Callable[..., "subprocess.CompletedProcess[str]"], words: list[str]
) -> None:
    done = run_thunder(*words)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert re.search(r"\\(x|u00)1b\[2J", done.stderr)


def test_a_name_of_a_file_comes_back_escaped(
    project: Project, run_thunder: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    project.write("matrices/a\x1b[2J.yaml", "axes: {seed: [1]}\n")
    done = run_thunder("--config-dir", str(project.conf), "matrix=nothing")
    assert "a\\u001b[2J" in done.stderr
    assert "\x1b" not in done.stderr
