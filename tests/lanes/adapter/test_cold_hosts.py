"""The main command where ranks are behind ssh: the preflight of every host, and mending."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lab import Lab

from thunder.corpora import build
from thunder.ground import files

pytestmark = pytest.mark.slow

DATA = "sets/partial-real"
STAND_IN = {
    "recipe": "tiny_gemma4", "hidden": 32, "layers": 4, "vocabulary": 384, "seed": 0,
    "pretrain_steps": 0, "bits": 0, "learning_rate_factor": 1000,
}  # fmt: skip
WORDS = ("+profile=partial_real_stage1_stable", "window=1", "target=1", "site=lab")
TASK = "import sys; from thunder.commands import tasks; sys.exit(tasks.main(sys.argv[1:]))"


@pytest.fixture
def root(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with conf/ and a home with the data set, which no host has yet."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    recipe = {"recipe": "sentences", "rows": 100, "seed": 0, "script": "nko"}
    build.build_recipe(recipe, tmp_path / "home" / DATA)
    site = lab.site(
        ranks_on=("mac4", "mac5"),
        data={"partial_real": {"folder": f"~/{DATA}"}},
        models={"gemma4_e2b": STAND_IN},
    )
    files.write_text(
        tmp_path / "conf/site/lab.yaml", f"# @package runtime.site\n{yaml.safe_dump(site)}"
    )
    for name in lab.machines:
        shutil.rmtree(lab[name].home / "sets", ignore_errors=True)
    return tmp_path


def run(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *words], cwd=root, text=True, capture_output=True, timeout=200, check=False
    )


def preflight(root: Path) -> dict[tuple[str, str], str]:
    (report,) = (root / "outputs/adapter").glob("*/report.json")
    rows = json.loads(report.read_text(encoding="utf-8"))["preflight"]
    return {(row["host"], row["check"]): row["status"] for row in rows}


def test_cold_hosts_are_refused_with_the_commands_that_warm_them_or_are_mended(
    lab: Lab, root: Path
) -> None:
    flags = ("--config-dir", str(root / "conf"))
    done = run(root, "-m", "thunder", *WORDS, *flags)
    assert done.returncode == 1, done.stdout
    assert_cold(root)
    hints = [part for part in message(root).split("bring it: ") if part.startswith("thunder sync")]
    of_mac4, of_mac5 = (shlex.split(hint.splitlines()[0]) for hint in hints)
    assert (of_mac4[-1], of_mac5[-1]) == ("mac4", "mac5")
    synced = run(root, "-c", TASK, *of_mac4[1:])
    assert synced.returncode == 0, synced.stderr
    assert (lab["mac4"].home / DATA / "train.jsonl").is_file()
    done = run(root, "-m", "thunder", *WORDS, "mend=true", *flags)
    assert "host mac5: data partial_real brought, 0.1 MB, 4 files" in done.stdout, done.stderr
    assert "host mac4: data partial_real brought" not in done.stdout
    statuses = preflight(root)
    assert statuses["mac5", "mended"] == statuses["mac5", "data set present"] == "PASS"
    assert statuses["mac4", "data set present"] == "PASS"
    assert done.returncode == 0, done.stdout
    checked = run(root, "-c", TASK, "sync", "--data", *WORDS, *flags)
    assert checked.stdout.endswith("nothing to do; whole on mac4, mac5\n")


def assert_cold(root: Path) -> None:
    statuses = preflight(root)
    assert statuses["localhost", "data set present"] == "PASS"
    assert statuses["mac4", "data set present"] == statuses["mac5", "data set present"] == "FAIL"
    assert statuses["mac4", "model complete"] == "PASS"  # a stand-in: thunder's own to bring
    assert statuses["mac4 → mac5", "hosts reach each other"] == "PASS"


def message(root: Path) -> str:
    (record,) = (root / "outputs/adapter").glob("*/run.json")
    error = files.read_json(record)["attempts"][-1]["error"]
    assert error["cause"] == "data"
    return str(error["message"])
