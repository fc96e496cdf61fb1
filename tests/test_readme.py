"""The README's transcript is of this code: the id in it is the id that the command gives.

It changes with the profile, the recipes behind the stand-ins, and the words of the pinned Babel.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from thunder.commands import requests
from thunder.ground import files
from thunder.language import sentences

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_id_in_the_readme_is_the_one_that_its_command_gives() -> None:
    (cell,) = requests.read(["+profile=partial_real_stage1_stable", "window=10"]).cells
    assert set(re.findall(r"adapter[/ ]([0-9a-f]{12})", README)) == {cell.job.id}


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 150


def test_what_the_examples_make_lies_outside_the_clone_and_is_made_as_written(
    tmp_path: Path,
) -> None:
    lines = [line for line in README.splitlines() if line.startswith("thunder corpus ")]
    (build,) = [line for line in lines if line.startswith("thunder corpus build ~/")]
    (imported,) = [line for line in lines if line.startswith("thunder corpus import-speech ")]
    assert " ~/" in imported
    row = re.search(r"# a line: (.*)$", build)
    assert row is not None
    parsed = json.loads(row[1])
    texts = sentences.generate(60, 1, "latin")
    rows = [parsed, *({"text": text} for text in texts)]
    files.write_jsonl(tmp_path / "sentences.jsonl", rows)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", build],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path / "home"), "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"home", "sentences.jsonl"}
