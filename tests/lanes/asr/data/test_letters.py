"""The one rule of which letters a script has, and the files that list them."""

from pathlib import Path

import pytest
from projects import Project

from thunder.ground import files
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.asr.data import letters, vocabulary
from thunder.language import spelling

PLAIN = spelling.form("text", "plain")
PROFILE = """\
# @package _global_
defaults:
  - asr_ctc
  - override /script: vocabulary_file
  - _self_
alphabet:
  name: nko
  source:
    file: FILE
"""


@pytest.mark.parametrize(
    ("script", "text", "strange"),
    [
        ("latin", "ÀÉ, Ɲɛ!", []),  # a capital with its accent is the small letter
        ("latin", "E\u0301", []),
        ("latin", "être ça", ["ê", "ç"]),
        ("latin", "n'a – “dɔ”…", []),
        ("latin", "5 % $", ["%", "5", "$"]),
        ("nko", "ߒ ߓߘߊ߫، ߕߊ߯؟", []),
        ("nko", "ߒ taa", ["t", "a", "a"]),
    ],
)
def test_letters_are_judged_by_their_normal_form(
    script: str, text: str, strange: list[str]
) -> None:
    assert letters.named(script).strangers(text) == strange


@pytest.mark.parametrize("script", ["nko", "latin"])
@pytest.mark.parametrize("char", ["é", "É", "ê", "ߊ", "ж", "ß", "’", "-", "x", "ɔ", "Ŋ", "ŉ"])
def test_an_import_and_a_vocabulary_judge_alike(script: str, char: str) -> None:
    text = f"a{char}a" if script == "latin" else f"ߊ{char}ߊ"
    normal = spelling.scored(text, spelling.script(script), spelling.MAIN)
    _, outside = vocabulary.make(script).encode(normal)
    assert letters.named(script).strangers(text) == outside


def test_letters_from_data_take_all_that_can_be_seen() -> None:
    form = spelling.form("french", "plain")
    known = letters.Letters(form, None)
    assert known.strangers("Œuvre, ça va ? \ue000") == ["\ue000"]
    normal = [spelling.scored(text, form, spelling.MAIN) for text in ("Çà", "Œuf, île")]
    assert letters.from_texts(normal) == tuple(" efluàçîœ")


def test_the_order_of_rows_does_not_change_the_letters_from_data() -> None:
    texts = ["être", "ça", "œuf"]
    assert letters.from_texts(texts) == letters.from_texts(reversed(texts))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("letters.txt", "a\n\nÉ\né\nê\n"),
        ("letters.txt", "\ufeffa\r\ne\u0301\r\nê\r\n"),
        ("letters.json", '["a", "É", "ê"]'),
        ("vocab.json", '{"blank": 1, "tokens": ["a", "<blank>", "é", "ê", " "]}'),
    ],
)
def test_a_file_lists_letters_in_its_order(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert letters.read(path, PLAIN) == ("a", "é", "ê", " ")


@pytest.mark.parametrize(
    ("form", "listed", "text"),
    [
        (PLAIN, "n\na\n'\n", "N’a n'a nʼa"),
        (PLAIN, "n\na\n\u2010\n", "n-a"),
        (spelling.script("latin"), "n\na\nʔ\n", "n'a"),
        (spelling.script("nko"), "ߒ\nߊ\n'\n", "ߒ'ߊ ߒߴߊ"),
        (PLAIN, "e\n\u0301\nɛ\n", "eɛ\u0301"),
    ],
)
def test_the_letters_of_a_file_are_those_of_the_normal_form_of_texts(
    tmp_path: Path, form: spelling.Script, listed: str, text: str
) -> None:
    (tmp_path / "letters.txt").write_text(listed, "utf-8")
    known = letters.Letters(form, letters.read(tmp_path / "letters.txt", form))
    assert known.strangers(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\nch\nɛn\n", r"not letters: 2(.|\n)*letters.txt:2: 'ch' is 2 char(.|\n)*letters.txt:3:"),
        ("\n\n", "no letters; one a line"),
        ("[1, 2]", 'a list of letters is needed: \\["a", "b"\\]'),
        ("[", "neither UTF-8 lines nor JSON"),
        ("a\n\u200d\n", r"letters.txt:2: '\\u200d' cannot be seen"),
        ("a\n.\n", r"letters.txt:2: '\.' is put aside when a text is read"),
        ("a\nb.\n", r"letters.txt:2: 'b\.' is 2 characters"),
        ("[" * 100_000, "neither UTF-8 lines nor JSON: nested too deep"),
    ],
)
def test_a_file_that_lists_no_letters_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "letters.txt"
    path.write_text(text, "utf-8")
    with pytest.raises((Faults, ThunderError), match=said) as told:
        letters.read(path, PLAIN)
    assert told.value.cause == "data"


def test_the_letters_of_a_file_are_in_the_id_wherever_the_file_lies(tmp_path: Path) -> None:
    project, ids = Project(tmp_path), []
    for name, text in (("one.txt", "ߊ\nߋ\n"), ("two.txt", "ߊ\nߋ\n"), ("three.txt", "ߊ\n")):
        path = project.write(name, text)
        project.profile(PROFILE.replace("FILE", str(path)))
        job = project.read("+profile=mine").cells[0].job
        assert list(job.config["alphabet"]["source"]) == ["digest"]
        assert letters.of(job.config).characters == (*text.split(), " ")
        ids.append(job.id)
    assert ids[0] == ids[1] != ids[2]
    path.write_text("ߋ\n", "utf-8")
    with pytest.raises(ThunderError, match="the content changed since the job was named"):
        letters.of(job.config)


def test_a_file_of_letters_that_is_not_there_is_named(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.profile(PROFILE.replace("FILE", str(tmp_path / "none.txt")))
    with pytest.raises(
        ThunderError, match=r"mine\.yaml:9: alphabet\.source\.file: no file .*none\.txt; set"
    ):
        project.read("+profile=mine")


def test_a_vocab_json_of_any_script_is_read_back(tmp_path: Path) -> None:
    made = vocabulary.make("french", letters.from_texts(["être"]))
    vocabulary.write(tmp_path / "vocab.json", made)
    assert vocabulary.load(tmp_path / "vocab.json") == made
    assert files.read_json(tmp_path / "vocab.json")["script"] == "french"
