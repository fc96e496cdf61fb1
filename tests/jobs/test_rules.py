"""Faults between keys are told before anything runs, with the key that is to be changed."""

from pathlib import Path

import pytest

from thunder.commands import requests
from thunder.ground.errors import ThunderError


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["window=3"], "a job of kind asr has no steps to stop at; train.epochs bounds it"),
        (["target=3"], "runtime.target: a job of kind asr"),
        (["data.columns.nko=null"], "data.columns.nko: null, but script nko needs a column of it"),
        (["data.columns.latin=null", "script=latin"], "script latin needs a column of it"),
        (["data.columns.latin=null", "text.bridge=v1_compat"], "data.columns.latin: null"),
        (["split.rule=grouped"], "split.by: null, but a grouped split needs it"),
        (["split.by=text"], "split.by: 'text' has no meaning for rule random"),
        (["split.train=0.9", "split.valid=0.1"], "are 1 of the rows: none for test"),
        (["model.size.heads=5"], "model.size.heads: 5 does not divide width 96"),
        (["model.size.kernel=4"], "model.size.kernel: 4 is even"),
        (["features=stored"], "model.stride: 2, but whisper_12p5hz_375 was downsampled before"),
    ],
)
def test_a_fault_between_keys_is_told(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(ThunderError, match=message.replace(".", r"\.")):
        requests.read(["+profile=asr_ctc", f"outputs={tmp_path}", *words])


@pytest.mark.parametrize(
    "words",
    [
        ["data.columns.nko=null", "script=latin"],
        ["data.columns.nko=null", "text.bridge=v2_standard"],
        ["split.rule=grouped", "split.by=text"],
        ["features=stored", "model.stride=1"],
        ["features=stored", "features.source.stored=whisper_50hz_1500"],
    ],
)
def test_what_fits_together_is_let_through(tmp_path: Path, words: list[str]) -> None:
    assert requests.read(["+profile=asr_ctc", f"outputs={tmp_path}", *words]).cells


def test_faults_between_keys_are_told_at_once(tmp_path: Path) -> None:
    words = ["+profile=asr_ctc", f"outputs={tmp_path}", "window=3", "model.size.heads=5"]
    with pytest.raises(ThunderError, match=r"(?s)window.*heads: 5"):
        requests.read(words)
