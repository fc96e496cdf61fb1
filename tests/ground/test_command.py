"""Commands that are printed: bash reads them back as they were meant, and so does Hydra."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from projects import DRY, Project

from thunder.commands import main
from thunder.config import overrides, sources
from thunder.ground import command

ODD = (
    "/plain/path", "my speech (1)", "a,b", "it's", 'say "no"', "ߒߞߏ", "$HOME `x` ~", "a=b", "{x}",
    "[1]", "back\\slash\\", "*", "a;b & c | d", "#x", "", "null", "1e5", "-x", "line\nbreak",
)  # fmt: skip


def _in_bash(line: str, cwd: Path | None = None) -> bytes:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("word", ODD)
def test_bash_reads_a_word_back(word: str) -> None:
    printed = _in_bash(command.line("printf", "%s\\0", word, "second"))
    assert printed.decode() == f"{word}\0second\0"


@pytest.mark.parametrize("value", [*ODD, [*ODD[:4]], {"folder": "my speech (1)"}, 3, None, True])
def test_bash_and_then_hydra_read_an_override_back(value: object) -> None:
    word = _in_bash(f"printf %s {command.override('data.source.folder', value)}").decode()
    read = overrides.parse([word], sources.sources()).values
    assert read == {"data.source.folder": value}


@pytest.mark.slow
def test_the_command_that_a_matrix_ends_with_can_be_pasted(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    project.profile(DRY)
    project.matrix("profile: mine\naxes:\n  seed: [1]\ntable:\n  metrics: [value]\n", "my (ߒ) q")
    outputs = project.root / "my runs (1)"
    words = ["--config-dir", str(project.conf), "matrix=my (ߒ) q"]
    assert main.main([*words, command.override("outputs", str(outputs)).strip("'")]) == 0
    printed = "".join(capfd.readouterr())
    (asked,) = re.findall(r"its numbers: (.*)", printed)
    assert b"my (\xdf\x92) q" in _in_bash(asked)
