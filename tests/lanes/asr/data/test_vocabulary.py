"""Classes and characters: what a text becomes, and that the blank is where vocab.json says."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
import torch

from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.data import vocabulary
from thunder.lanes.asr.evaluation import decode
from thunder.language import spelling

# They change with the characters of a script or their order, which is another model.
DIGESTS = {
    "nko": "9b42ee1a35f35b9226a50476662e0079b58bd67c949b1f1cab4e3aadeca9326c",
    "latin": "ad538e171df52d0e47eb627f14c78e012a084997185a711197f7a4cccee1bc5a",
}


def document(**changes: Any) -> dict[str, Any]:
    """Return the content of a vocab.json of three letters whose blank is last."""
    content = {"blank": 3, "tokens": ["a", "b", " ", "<blank>"], "script": "latin", "version": 1}
    return {**content, **changes}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "vocab.json"
    files.write_json(path, document(**changes))
    return path


@pytest.mark.parametrize(("script", "classes"), [("nko", 66), ("latin", 40)])
def test_a_script_has_as_many_classes_as_published(script: str, classes: int) -> None:
    made = vocabulary.make(script)
    assert len(made.tokens) == len(set(made.tokens)) == classes
    assert (made.blank, made.tokens[0]) == (0, vocabulary.BLANK)


@pytest.mark.parametrize("script", ["nko", "latin"])
def test_the_classes_of_a_script_never_change(script: str) -> None:
    assert vocabulary.make(script).digest == DIGESTS[script]


def test_an_unknown_script_is_named() -> None:
    with pytest.raises(ThunderError, match="no script 'adlam'; there is nko, latin"):
        vocabulary.make("adlam")


@pytest.mark.parametrize(
    ("script", "text"), [("nko", "ߒ ߓߘߊ߫ ߕߊ߯ ߞߊ߲߬"), ("latin", "n’a bɛ taa sò-kɔnɔ")]
)
def test_a_text_comes_back_from_its_classes(script: str, text: str) -> None:
    made = vocabulary.make(script)
    classes, outside = made.encode(text)
    assert made.decode(classes) == unicodedata.normalize("NFC", text)
    assert outside == []


def test_characters_without_a_class_are_told_not_lost() -> None:
    classes, outside = vocabulary.make("nko").encode("ߊxߊ!")
    assert len(classes) == 2
    assert outside == ["x", "!"]


def test_latin_is_read_in_lower_case_and_composed() -> None:
    made = vocabulary.make("latin")
    assert made.encode("E\u0301") == made.encode("é") == ([made.tokens.index("é")], [])


def test_the_apostrophe_is_the_one_that_the_normaliser_writes() -> None:
    text = spelling.scored("n'a", "latin", "norm")
    assert vocabulary.make("latin").encode(text)[1] == []


def test_the_word_for_blank_is_no_character() -> None:
    made = vocabulary.Vocabulary(("a", "b"), 1, "latin", 1)
    assert made.encode("ab") == ([0], ["b"])


def test_a_vocabulary_comes_back_from_its_file(tmp_path: Path) -> None:
    made = vocabulary.make("nko")
    vocabulary.write(tmp_path / "vocab.json", made)
    assert vocabulary.load(tmp_path / "vocab.json") == made


def test_a_blank_that_is_last_is_the_blank(tmp_path: Path) -> None:
    made = vocabulary.load(written(tmp_path))
    path = torch.tensor([[0, 0, 3, 0, 1, 3, 3, 1]])  # a a _ a b _ _ b
    log_probs = torch.log_softmax(torch.nn.functional.one_hot(path, 4) * 9.0, dim=-1)
    assert decode.greedy(log_probs, torch.tensor([8]), made) == ["aabb"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blank": 4}, "blank is class 4, and there are 4 tokens: 0 to 3 are allowed"),
        ({"tokens": ["a", "ny", "b", "_"]}, "'ny': a token other than the blank is one character"),
        ({"tokens": ["a", "a", "b", "_"]}, "tokens: .* twice"),
        ({"more": 1}, "more: not a key here"),
        ({"blank": -1}, "blank: -1 is less than the minimum of 0"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_wrong_vocabulary_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ThunderError, match=message) as caught:
        vocabulary.load(written(tmp_path, **changes))
    assert "vocab.json" in str(caught.value)
    assert caught.value.cause == "data"


def test_a_vocabulary_that_is_missing_or_torn_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocab.json"
    with pytest.raises(ThunderError, match=r"vocab\.json: No such file"):
        vocabulary.load(path)
    path.write_text('{"blank": 0, "tok', encoding="utf-8")
    with pytest.raises(ThunderError, match=r"vocab\.json: not JSON"):
        vocabulary.load(path)
