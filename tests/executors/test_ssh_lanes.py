"""What real lanes make on a host is what they make here, byte for byte, and comes home whole."""

from pathlib import Path

import pytest
import running
from far_runs import Away, quiet
from lab import Lab

from thunder.corpora import build, corpus
from thunder.ground import digest, files
from thunder.runs import mirror, store
from thunder.runs.run import Run

pytestmark = pytest.mark.slow


def artifacts(run: Run) -> dict[str, str]:
    """The digests of what a run is about: weights and rows of numbers."""
    names = [name for name in digest.visible_files(run.folder) if name.endswith(".safetensors")]
    return {name: digest.of_file(run.folder / name) for name in names}


def test_windows_of_an_adapter_on_a_host_are_those_of_this_machine(
    lab: Lab, tmp_path: Path
) -> None:
    away = Away(lab, tmp_path / "away", "mac4")
    words = ("+profile=smoke", "window=2", "target=4")
    ended = running.thunder(*away.words(*words))
    assert ended.returncode == 0, ended.stdout
    here = running.thunder(*words, f"outputs={tmp_path / 'here'}")
    assert here.returncode == 0, here.stdout
    run, same = away.run(), running.only_run(tmp_path / "here")
    assert store.verify(run) == []
    assert (run.id, run.record()["step"]) == (same.id, 4)
    made, same_made = artifacts(run), artifacts(same)
    assert "checkpoints/step-0000004/optimizer.safetensors" in same_made
    assert made | same_made == made  # beside them it has the end of its first window
    assert quiet(lab["mac4"]) == []
    report = files.read_json(run.folder / "report.json")
    assert {row["host"] for row in report["verification"]} == {"mac4"}
    mirror = files.read_json(run.folder / "mirror.json")["hosts"]["mac4"]
    assert mirror["folder"] == str(away.there(lab["mac4"]))


def test_a_run_and_the_one_that_it_needs_live_on_a_host(lab: Lab, tmp_path: Path) -> None:
    away = Away(lab, tmp_path, "mac4")
    words = ("+profile=asr_ctc", "train.epochs=1", "data.take=40", "runtime.wait=true")
    ended = running.thunder(*away.words(*words))
    assert ended.returncode == 0, ended.stdout
    runs = {run.kind: run for run in store.all_runs(away.outputs)}
    assert [store.verify(run) for run in runs.values()] == [[], []]
    assert runs["asr"].record()["attempts"][0]["provenance"]["host"]["name"] == "mac4"
    features = (lab["mac4"].home / "thunder/outputs/asr_features").iterdir()
    assert [one.name for one in features] == [runs["asr_features"].folder.name]
    assert quiet(lab["mac4"]) == []


def test_what_a_run_reads_on_its_host_is_noted_with_its_digest(lab: Lab, tmp_path: Path) -> None:
    away, data = Away(lab, tmp_path / "away", "mac4"), tmp_path / "data"
    build.build_recipe({"recipe": "sentences", "rows": 60, "seed": 0, "script": "nko"}, data)
    words = ("+profile=smoke", "data=folder", f"data.source.folder={data}", "target=1")
    ended = running.thunder(*away.words(*words))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    run = away.run()
    ((host, (noted,)),) = mirror.inputs(run.folder).items()
    assert (host, noted["input"], noted["commit"]) == ("mac4", "data", None)
    assert Path(noted["path"]).parent == lab["mac4"].home / "thunder/inputs"
    assert noted["sha256"] == corpus.digest(Path(noted["path"])) == corpus.digest(data)
    assert store.verify(run) == []
