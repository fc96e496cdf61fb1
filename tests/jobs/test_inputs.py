import os
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Project

from thunder.commands import requests
from thunder.ground import digest, places
from thunder.ground.errors import ThunderError
from thunder.jobs import inputs

WORDS = ("+profile=smoke", "data=folder")


@pytest.fixture
def corpus(project: Project) -> Path:
    folder = project.root / "corpus"
    folder.mkdir()
    (folder / "train.jsonl").write_text("{}\n")
    return folder


@pytest.mark.parametrize("spelling", ["corpus", "./corpus", "../project/corpus", "corpus/"])
def test_a_folder_may_be_named_from_here(corpus: Path, spelling: str) -> None:
    absolute = requests.read([*WORDS, f"data.source.folder='{corpus}'"]).cells[0].job
    relative = requests.read([*WORDS, f"data.source.folder='{spelling}'"]).cells[0].job
    assert relative.id == absolute.id
    assert Path(relative.runtime["paths"]["data"]).is_absolute()


def test_a_folder_may_be_named_from_home(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(corpus.parent))
    job = requests.read([*WORDS, "data.source.folder='~/corpus'"]).cells[0].job
    assert job.runtime["paths"]["data"] == str(corpus)


@pytest.mark.parametrize("name", ["nowhere", "corpus/train.jsonl", "~nobody_at_all/corpus"])
def test_a_folder_that_is_none_is_told(corpus: Path, name: str) -> None:
    with pytest.raises(
        ThunderError, match=r"on this machine:\n  command line .*: data\.source\.folder: no folder"
    ) as caught:
        requests.read([*WORDS, f"data.source.folder='{name}'"])
    assert caught.value.cause == "environment"


def test_a_folder_of_a_profile_is_told_by_its_line_and_one_of_a_site_by_the_site(
    project: Project,
) -> None:
    own = "# @package _global_\ndefaults: [smoke, {override /data: folder}, _self_]\n"
    project.write("conf/profile/own.yaml", own + "data: {source: {folder: nowhere}}\n")
    with pytest.raises(ThunderError) as caught:
        project.read("+profile=own")
    assert "site" not in str(caught.value)
    assert "conf/profile/own.yaml:3: data.source.folder: no folder" in str(caught.value)
    site = (places.SHIPPED / "conf/site/local.yaml").read_text().replace("name: local", "name: lab")
    recipe = "{recipe: sentences, rows: 640, seed: 0, script: nko}"
    project.write("conf/site/lab.yaml", site.replace(recipe, "{folder: nowhere}"))
    with pytest.raises(
        ThunderError, match=r"site 'lab' is not ready .*\n  data 'partial_real': no"
    ):
        project.read("+profile=partial_real_stage1", "site=lab")


def test_a_file_name_that_is_not_utf_8_is_told(project: Project) -> None:
    model = project.root / "model"
    model.mkdir()
    (model / os.fsdecode(b"\xff.jsonl")).write_text("{}\n")
    with pytest.raises(ThunderError, match=r"'\\udcff.jsonl' is not a name in UTF-8"):
        requests.read(["+profile=smoke", "model=folder", f"model.source.folder='{model}'"])


@pytest.mark.parametrize("name", ["README.md", "LICENSE", ".DS_Store", "train.jsonl.orig", "a/b"])
def test_what_is_not_read_of_a_corpus_does_not_name_it(corpus: Path, name: str) -> None:
    words = [*WORDS, f"data.source.folder='{corpus}'"]
    before = requests.read(words).cells[0].job
    assert before.config["data"]["source"] == {"digest": digest.of_folder(corpus)}
    (corpus / name).parent.mkdir(exist_ok=True)
    (corpus / name).write_text("words")
    assert requests.read(words).cells[0].job.id == before.id


@pytest.mark.parametrize("name", ["train.jsonl", "valid.jsonl", "test.jsonl", "manifest.json"])
def test_each_file_that_is_read_of_a_corpus_names_it(corpus: Path, name: str) -> None:
    words = [*WORDS, f"data.source.folder='{corpus}'"]
    before = requests.read(words).cells[0].job
    (corpus / name).write_text("{}  \n")
    assert requests.read(words).cells[0].job.id != before.id


PROSE = ("README.md", "LICENSE", "licence.txt", "NOTICE", "docs/notes.md", "CITATION.cff")
READ_OF = (
    ("smoke", "model=folder", "model.source.folder", "tokenizer.model"),
    ("asr_ctc", "data=speech_folder", "data.source.folder", "clips/license_01.wav"),
    ("asr_ctc", "features=whisper", "features.source.folder", "normalizer.json"),
)


@pytest.mark.parametrize(("profile", "option", "key", "read"), READ_OF)
def test_what_no_loader_opens_names_no_model_and_no_recordings(
    tmp_path: Path, profile: str, option: str, key: str, read: str
) -> None:
    (tmp_path / "config.json").write_text("{}")
    words = [f"+profile={profile}", option, f"{key}={tmp_path}"]
    before = requests.read(words).cells[0].job
    source = before.config[key.partition(".")[0]]["source"]
    assert source == {"digest": digest.of_folder(tmp_path)}  # the id of a folder without any
    for name in PROSE:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("words")
    assert requests.read(words).cells[0].job.id == before.id
    (tmp_path / read).parent.mkdir(exist_ok=True)
    (tmp_path / read).write_text("bytes")
    assert requests.read(words).cells[0].job.id != before.id


def test_a_digest_that_was_remembered_badly_is_made_again(
    corpus: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_LARGE_BYTES", 1)
    words = [*WORDS, f"data.source.folder='{corpus}'", f"outputs='{outputs}'"]
    before = requests.read(words).cells[0].job
    (memory,) = (outputs / "cache" / "digests").iterdir()
    for text in ("", "[]", '{"digest": "no"}'):
        memory.write_text(text)
        assert requests.read(words).cells[0].job.id == before.id


def test_cells_of_a_matrix_read_a_folder_once(
    corpus: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    of_folder = digest.of_folder

    def counted(folder: Path, names: list[str]) -> str:
        read.append(folder)
        return of_folder(folder, names)

    monkeypatch.setattr(digest, "of_folder", counted)
    text = "profile: smoke\naxes: {seed: [0, 1, 2], data: [folder]}\n"
    project.matrix(f"{text}set: {{data.source.folder: {corpus}}}\n")
    cells = project.read("matrix=question").cells
    assert len({cell.job.id for cell in cells}) == 3
    assert read == [corpus]


def test_a_hub_model_without_a_snapshot_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    root = tmp_path / "models--a--b"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("a" * 40 + "\n")
    assert inputs.hub_snapshot("a/b", "main") is None  # the snapshot was never finished
    (root / "snapshots" / ("a" * 40)).mkdir(parents=True)
    assert inputs.hub_snapshot("a/b", "main") == root / "snapshots" / ("a" * 40)
    assert inputs.hub_snapshot("a/b", "a" * 40) == root / "snapshots" / ("a" * 40)
    assert inputs.hub_snapshot("a/b", "../../refs") is None
    assert inputs.hub_snapshot("a/b", "dev") is None
    (tmp_path / "elsewhere").write_text("a" * 40)
    assert inputs.hub_snapshot("a/b", "../../elsewhere") is None
    assert inputs.hub_snapshot("a/b", str(tmp_path / "elsewhere")) is None


def _hub_fault(commit: str) -> str:
    with pytest.raises(ThunderError) as caught:
        requests.read(["+profile=smoke", f'model.source={{hub:"a/b",commit:"{commit}"}}'])
    return str(caught.value)


def test_a_hub_model_that_is_not_here_is_fetched_by_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for commit in ("main", "v1.0", "c" * 40):
        said = f"no snapshot of a/b ({commit}) in {tmp_path}; fetch it with: hf download a/b"
        assert f"{said} --revision {commit}" in _hub_fault(commit)
    assert "--revision 'a b'" in _hub_fault("a b")


def test_a_short_commit_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    said = "695e0514 is the beginning of a commit of a/b; give all 40 digits"
    assert _hub_fault("695e0514").endswith(said)
    whole = "695e0514" + "0" * 32
    (tmp_path / "models--a--b" / "snapshots" / whole).mkdir(parents=True)
    assert _hub_fault("695e0514").endswith(f"{said}: {whole}")


def test_the_cache_of_the_hub_is_where_its_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    assert inputs.hub_cache() == Path("/home/me/.cache/huggingface/hub")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert inputs.hub_cache() == Path("/cache/huggingface/hub")
    monkeypatch.setenv("HF_HOME", "/hf")
    assert inputs.hub_cache() == Path("/hf/hub")
    monkeypatch.setenv("HF_HUB_CACHE", "/hub")
    assert inputs.hub_cache() == Path("/hub")
    monkeypatch.setenv("HF_HUB_CACHE", "~/models")
    assert inputs.hub_cache() == Path("/home/me/models")


@pytest.mark.slow
def test_the_cache_of_the_hub_is_where_its_own_client_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(inputs.hub_cache())


def test_a_folder_that_says_it_is_a_stand_in_stays_one(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"stand_in": true}')
    words = ["+profile=smoke", "data=folder", f"data.source.folder={tmp_path}"]
    job = requests.read(words).cells[0].job
    assert job.runtime["stand_ins"] == ["data"]
    (tmp_path / "manifest.json").write_text('{"stand_in": false}')
    assert requests.read(words).cells[0].job.runtime["stand_ins"] == []


def test_a_model_with_a_rate_of_its_own_is_a_stand_in_whatever_it_reads(tmp_path: Path) -> None:
    (tmp_path / "speech").mkdir()
    words = ["data=speech_folder", f"data.source.folder={tmp_path / 'speech'}"]
    (small,) = requests.read(["+profile=asr_ctc", *words]).cells
    assert inputs.stand_ins(small.job.config) == ["model"]
    (anchor,) = requests.read(["+profile=asr_ctc", "model=ctc_anchor", *words]).cells
    assert inputs.stand_ins(anchor.job.config) == []
