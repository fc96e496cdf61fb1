"""A new lane is its folder, a line that collects it, a schema and a profile; nothing else."""

import json
from pathlib import Path

import pytest
import running
from projects import Project
from toy_lane import kind as toy

from thunder.commands import launch, tasks
from thunder.ground import files
from thunder.ground.errors import Faults
from thunder.jobs import kinds
from thunder.runs import store

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "toy.json",
    "title": "toy: counts",
    "type": "object",
    "additionalProperties": False,
    "required": ["kind", "seed", "train", "runtime"],
    "properties": {
        "kind": {"const": "toy"},
        "seed": {"$ref": "common.json#/$defs/seed"},
        "train": {
            "type": "object",
            "additionalProperties": False,
            "required": ["steps"],
            "properties": {"steps": {"type": "integer", "minimum": 2}},
        },
        "runtime": {"$ref": "common.json#/$defs/runtime"},
    },
}
PROFILE = """\
# @package _global_
kind: toy
train: {steps: 20}
"""
MATRIX = """\
# How far do we count?
profile: toy
axes:
  seed: [0, 1]
"""


@pytest.fixture
def toys(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a toy profile and matrix, and the line that collects the lane."""
    for name, kind in toy.KINDS.items():
        monkeypatch.setitem(kinds.KINDS, name, kind)
    monkeypatch.setenv("PYTHONPATH", str(running.HERE))
    running.let_code_be_committed(monkeypatch)
    files.write_json(project.root / "schemas" / "toy.json", SCHEMA)
    project.profile(PROFILE, "toy")
    project.matrix(MATRIX, "toys")
    return project


def run(project: Project, outputs: Path, *words: str) -> int:
    return launch.run(project.read(*words, f"outputs={outputs}"))


def test_a_toy_lane_runs_and_goes_on_where_it_was(toys: Project, outputs: Path) -> None:
    assert run(toys, outputs, "+profile=toy", "window=6") == 0
    only = running.only_run(outputs)
    assert (only.record()["status"], only.record()["step"]) == ("paused", 6)
    assert run(toys, outputs, "+profile=toy", "window=6", "target=20") == 0
    assert (only.record()["status"], only.record()["step"]) == ("done", 20)
    state = json.loads((only.folder / "counted.json").read_text())
    assert state == {"step": 20, "starts": 4}  # 6, 12, 18, 20: nothing was counted twice
    assert store.verify(only) == []


def test_its_own_rules_are_told_with_their_place(toys: Project, outputs: Path) -> None:
    with pytest.raises(Faults, match=r"train\.steps: odd; a toy counts in twos"):
        toys.read("+profile=toy", "train.steps=7")


def test_it_has_its_table_its_status_and_its_promotion(
    toys: Project, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(toys, outputs, "matrix=toys") == 0
    printed = capsys.readouterr().out
    assert "counted 20" in printed
    assert "thunder table toys" in printed
    where = ["--outputs", str(outputs), "--config-dir", str(toys.conf)]
    assert tasks.main(["table", "toys", *where]) == 0
    assert "seed=0: 20\nseed=1: 20\n" in capsys.readouterr().out
    assert tasks.main(["table", "toys", "--check", *where]) == 0
    capsys.readouterr()
    assert tasks.main(["status", "--json", "--outputs", str(outputs)]) == 0
    rows = json.loads(capsys.readouterr().out)
    labels = {row["label"]: row["lacks"] for row in rows}
    assert labels == {"toy seed=0": [], "toy seed=1": []}
    assert tasks.main(["promote", "toys", *where]) == 0
    record = files.read_json(outputs / "promotions" / "toys.json")
    assert "that anything was learnt: it was counted" in str(record["not_claimed"])
    assert {run["kind"] for run in record["runs"]} == {"toy"}
