"""Studies in scripts that thunder has no name for, from recordings to tables and pages."""

import re
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from projects import Project

from thunder.commands import launch, requests, tasks
from thunder.config import compose, sources
from thunder.ground import files, json_lines
from thunder.ground.errors import ThunderError
from thunder.ground.places import SHIPPED
from thunder.lanes.asr import scripts
from thunder.lanes.asr.speech import spoken, synthesizer
from thunder.lanes.asr.speech.sounds import VOICES
from thunder.runs.run import Run

ROWS = 40
FRENCH = ["être", "forêt", "île", "naître", "garçon", "façon", "cœur", "sœur", "été", "à", "ça"]
RUSSIAN = ["вода", "рука", "нога", "шар", "каша", "чаша", "море", "поле", "яма", "моя"]
LETTERS = dict(zip("абвгдежиклмнопрстучшя", "abvgdežiklmnoprstučšâ", strict=True))
FAST = (
    "+profile=asr_ctc", "mode=baseline", "features=log_mel", "train.epochs=1",
    "evaluate.suta.rows=2", "evaluate.bootstrap=100", "data=speech_folder",
)  # fmt: skip
CYRILLIC = """\
# @package _global_
script: ${alphabet.name}
alphabet:
  name: cyrillic
  source: {letters: from_data}
  normaliser: plain
  title: Cyrillic
  direction: ltr
  font: PT Sans
  language: ru
"""
DATA = """\
name: russian
source: {folder: FOLDER}
pairs: pairs.jsonl
id: feat_id
columns: {cyrillic: cyrillic, translit: translit}
origin: null
take: null
"""
MATRIX = """\
# Does a transliteration do as well?
profile: asr_ctc
axes: {script: [cyrillic, translit]}
set:
  mode: baseline
  data: russian
  features: log_mel
  train.epochs: 1
  evaluate.suta.rows: 2
  evaluate.bootstrap: 100
same: [data, split, features, needs, train]
differ: [script, alphabet]
compare: {script: translit}
"""


def transliterated(text: str) -> str:
    return "".join(LETTERS.get(letter, letter) for letter in text.lower())


def phrases(words: list[str]) -> Iterator[str]:
    """Yield short phrases, each with a capital and a full stop as people write them."""
    rng = Random(0)
    for _ in range(ROWS):
        text = f"{rng.choice(words)} {rng.choice(words)}."
        yield text[0].upper() + text[1:]


def record(folder: Path, texts: dict[str, str]) -> None:
    """Speak texts, by the name of the recording, with the sounds of their plain letters."""
    folder.mkdir(parents=True)
    for number, (name, text) in enumerate(texts.items()):
        plain = unicodedata.normalize("NFD", transliterated(text.lower()).replace("œ", "e"))
        said = "".join(letter for letter in plain if "a" <= letter <= "z" or letter == " ")
        samples = synthesizer.say(said, VOICES[number % len(VOICES)])
        spoken._write_wave(folder / f"{name}.wav", samples, synthesizer.RATE_HZ)


def listed(path: Path, texts: dict[str, str]) -> Path:
    path.write_text("".join(f"{name}\t{text}\n" for name, text in texts.items()), "utf-8")
    return path


def imported(root: Path, words: list[str], *columns: tuple[str, Any], options: str = "") -> Path:
    """Return a data folder made by the command line of recordings and texts in some scripts."""
    texts = {f"u{i:02d}": text for i, text in enumerate(phrases(words))}
    record(root / "recordings", texts)
    lists = [
        listed(root / f"{name}.tsv", {key: written(text) for key, text in texts.items()})
        for name, written in columns
    ]
    names = ",".join(name for name, _ in columns)
    words = ["--script", options or names, *(["--column", names] if options else [])]
    words += ["--config-dir", str(root / "conf")] if not options else []
    into = root / "data"
    call = ["corpus", "import-speech", str(root / "recordings"), ",".join(map(str, lists))]
    assert tasks.main([*call, str(into), *words]) == 0
    return into


def as_it_is(text: str) -> str:
    return text


@pytest.fixture(scope="module")
def french(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("french")
    return imported(root, FRENCH, ("french", as_it_is), options="from_data")


@pytest.fixture(scope="module")
def russian(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("russian"))
    project.write("conf/script/cyrillic.yaml", CYRILLIC)
    latin = CYRILLIC.replace("cyrillic", "translit").replace("Cyrillic", "Transliteration")
    project.write("conf/script/translit.yaml", latin.replace("language: ru", "language: null"))
    data = imported(project.root, RUSSIAN, ("cyrillic", as_it_is), ("translit", transliterated))
    project.write("conf/data/russian.yaml", DATA.replace("FOLDER", str(data)))
    project.matrix(MATRIX, "alphabets")
    return project


def words_of(folder: Path, *more: str) -> tuple[str, ...]:
    column = "data.columns={french:french}"
    return (*FAST, f"data.source.folder={folder}", column, *more)


def run(outputs: Path, *words: str, config_dir: Path | None = None) -> int:
    asked = [*words, f"outputs={outputs}"]
    return launch.run(requests.read(asked, config_dir=config_dir))


def page_of(run_: Run) -> str:
    outputs = run_.folder.parent.parent
    assert tasks.main(["errors", run_.folder.name, "--outputs", str(outputs)]) == 0
    return (outputs / "pages" / f"errors-{run_.folder.name}.html").read_text("utf-8")


def asr_run(outputs: Path) -> Run:
    (folder,) = (outputs / "asr").iterdir()
    return Run(folder)


def runs_by_script(outputs: Path) -> dict[str, Run]:
    every = [Run(folder) for folder in (outputs / "asr").iterdir()]
    return {each.document()["script"]: each for each in every}


@pytest.mark.slow
def test_french_is_learned_in_the_letters_of_its_training_rows_and_shown_as_the_script_says(
    french: Path, tmp_path: Path
) -> None:
    names = {"language": "fr", "font": "Inter", "title": "French", "direction": "rtl"}
    look = [f"alphabet.{key}={name}" for key, name in names.items()]
    words = words_of(french, "script=from_data", "alphabet.name=french", *look)
    assert run(tmp_path, *words) == 0
    done = asr_run(tmp_path)
    texts = {row["feat_id"]: row["french"] for row in rows_of(french / "pairs.jsonl")}
    train = files.read_json(done.folder / "split.json")["ids"]["train"]
    letters = {letter for name in train for letter in texts[name].lower().replace(".", "")}
    vocabulary = files.read_json(done.folder / "vocab.json")
    assert vocabulary["tokens"] == ["<blank>", *sorted(letters)]
    assert {"ê", "î", "ç", "œ"} < set(vocabulary["tokens"])
    results = files.read_json(done.folder / "results.json")
    assert results["script"] == "french"
    assert [split["foreign_chars"] for split in results["splits"].values()] == [0, 0, 0]
    page = page_of(done)
    assert '<div class="words" lang="fr" dir="rtl"' in page
    assert '--written: "Inter"' in page
    assert (
        f'<h1>Errors of run <code>{done.folder.name}</code></h1>\n<p class="quiet">French' in page
    )
    dumps = [str(done.folder / f"test_{name}.jsonl") for name in ("predictions", "references")]
    assert tasks.main(["score", *dumps]) == 0


@pytest.mark.slow
def test_two_scripts_of_one_study_are_compared_on_the_same_rows(
    russian: Project, tmp_path: Path
) -> None:
    assert run(tmp_path, "matrix=alphabets", config_dir=russian.conf) == 0
    outputs = ["--outputs", str(tmp_path), "--config-dir", str(russian.conf)]
    assert tasks.main(["table", "alphabets", *outputs]) == 0
    tables = files.read_json(tmp_path / "tables" / "alphabets.json")["tables"]
    (effect,) = [table for table in tables if table["name"] == "T3_script_effect"]
    (row,) = effect["rows"]
    assert (row["kind"], row["values"]["script"], row["values"]["rows"]) == ("run", "cyrillic", 4)
    assert "two alphabets" in effect["caveats"][0]
    assert not any(table["name"].startswith("T2") for table in tables)
    done = runs_by_script(tmp_path)
    letters = {name: _letters(each) for name, each in done.items()}
    assert {transliterated(letter) for letter in letters["cyrillic"]} == letters["translit"]
    assert '<div class="words" lang="ru" dir="ltr"' in page_of(done["cyrillic"])
    assert '<div class="words" lang="und" dir="ltr"' in page_of(done["translit"])
    assert '--written: "PT Sans"' in page_of(done["cyrillic"])
    assert tasks.main(["table", "alphabets", "--check", *outputs]) == 0


def _letters(run_: Run) -> set[str]:
    return set(files.read_json(run_.folder / "vocab.json")["tokens"][1:])


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows, faults = json_lines.rows(path.read_bytes())
    assert not faults
    return list(rows.values())


def test_an_import_names_the_letters_that_the_script_has_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"a": "Écoute", "b": "fête ça", "c": "là"}
    record(tmp_path / "recordings", texts)
    path = listed(tmp_path / "fr.tsv", texts)
    call = ["corpus", "import-speech", str(tmp_path / "recordings"), str(path)]
    assert tasks.main([*call, str(tmp_path / "latin")]) == 0
    said = capsys.readouterr().out
    assert "left out 1: foreign_characters: b" in said
    assert "'ê' (U+00EA) 1×, 'ç' (U+00E7) 1×" in said
    assert [row["latin"] for row in rows_of(tmp_path / "latin" / "pairs.jsonl")] == ["Écoute", "là"]
    assert tasks.main([*call, str(tmp_path / "all"), "--script", "from_data"]) == 0
    assert [row["text"] for row in rows_of(tmp_path / "all" / "pairs.jsonl")] == [*texts.values()]


@pytest.mark.parametrize(
    ("option", "faults"),
    [
        ("script: x\nalphabet: {ALL}\n", ["conf/script/x.yaml:3: alphabet.language: missing"]),
        ("script: x\n", ["alphabet: missing"]),
        (
            "alphabet: {ALL, language: 7}\n",
            ["conf/script/x.yaml:2: alphabet.language: 7 is an integer", "script: missing"],
        ),
    ],
)
def test_an_option_that_describes_no_script_is_told_by_file_before_an_import(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    option: str, faults: list[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    every = "name: x, source: {letters: from_data}, normaliser: plain, title: X, font: F"
    text = option.replace("ALL", f"{every}, direction: ltr")
    project = Project(tmp_path)
    project.write("conf/script/x.yaml", f"# @package _global_\n{text}")
    call = ["corpus", "import-speech", "recordings", "x.tsv", "data", "--script", "x"]
    assert tasks.main([*call, "--config-dir", str(project.conf)]) == 1
    title, *told = capsys.readouterr().err.splitlines()
    assert title == "thunder: script=x: conf/script/x.yaml describes no script:"
    assert [fault in line for fault, line in zip(faults, told, strict=True)] == [True] * len(told)


def test_strangers_are_named_before_features_are_made(french: Path, tmp_path: Path) -> None:
    words = words_of(french, "script=latin", "data.columns={latin:french}")
    words = tuple(word for word in words if word != "data.columns={french:french}")
    with pytest.raises(ThunderError, match=r"not in the latin vocabulary.*'ê' \(U\+00EA\)") as told:
        run(tmp_path, *words)
    assert told.value.cause == "data"
    assert not (tmp_path / "asr_features").exists()


def test_letters_that_train_lacks_are_named_before_features_are_made(
    french: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(french, tmp_path / "data"))
    rows = rows_of(data / "pairs.jsonl")
    names = [row["feat_id"] for row in rows]
    rows[-1]["french"] = "Noël"
    files.write_jsonl(data / "pairs.jsonl", rows)
    parts = {"train": names[:30], "valid": names[30:35], "test": names[35:]}
    files.write_json(data / "split.json", parts)
    words = words_of(data, "script=from_data", "alphabet.name=french", "split.rule=given")
    with pytest.raises(ThunderError, match=r"1 of \d+ characters .*'ë' \(U\+00EB\) 1×"):
        run(tmp_path / "outputs", *words)
    assert not (tmp_path / "outputs" / "asr_features").exists()


def test_the_options_that_are_shipped_say_what_is_known_of_their_scripts() -> None:
    for option, name in {"nko": "nko", "latin_bambara": "latin", "latin": "latin"}.items():
        config = compose.compose({"script": option}, sources.sources()).fill({})
        assert config["script"] == name
        assert config["alphabet"] == {"name": name, **scripts.BUILT_IN[name]}


def test_a_script_without_an_alphabet_is_told_what_to_do(project_of_mine: Project) -> None:
    with pytest.raises(
        ThunderError, match=r"'adlam' has no alphabet; known by name are nko, latin"
    ):
        project_of_mine.read("+profile=mine")


def test_a_profile_that_names_a_script_itself_means_what_it_always_did(tmp_path: Path) -> None:
    project = Project(tmp_path)
    head = "# @package _global_\ndefaults:\n  - asr_ctc\n  - _self_\n"
    for script in scripts.BUILT_IN:
        project.profile(f"{head}script: {script}\n", script)
        mine = project.read(f"+profile={script}").cells[0].job
        assert mine.id == project.read("+profile=asr_ctc", f"script={script}").cells[0].job.id
    project.profile(f"{head}script: adlam\n", "adlam")
    with pytest.raises(ThunderError, match="'nko', but the script is 'adlam': an option of conf/"):
        project.read("+profile=adlam")


@pytest.fixture
def project_of_mine(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    shipped = Path(SHIPPED / "conf" / "profile" / "asr_ctc.yaml").read_text("utf-8")
    own = re.sub(r"\n  - /script: nko", "", shipped).replace(
        "kind: asr\n", "kind: asr\nscript: adlam\n"
    )
    project.profile(own)
    return project
