"""The promises about the id: what is inside it, what is outside, and that it stays."""

import copy
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from json_values import VALUES
from projects import DRY, Project

from thunder.commands import requests
from thunder.ground import schema
from thunder.ground.errors import Faults
from thunder.jobs import inputs, job, kinds
from thunder.lanes.asr import scripts

STABLE = "+profile=partial_real_stage1_stable"


def job_of(*words: str) -> job.Job:
    return requests.read(words).cells[0].job


def test_the_golden_id_is_pinned() -> None:
    """May change only when job.IDENTITY is raised; then every run on earth is renamed."""
    document = {
        "identity": 1,
        "revision": 1,
        "kind": "dry",
        "seed": 0,
        "dry": {"value": 1e-5, "sleep_seconds": 0, "fail": False},
        "text": "ߒߞߏ",
    }
    assert job.id_of(document) == "140905281381"


def test_the_id_of_the_dry_profile_is_pinned() -> None:
    """May change only with conf/profile/dry.yaml, the kind's revision or job.IDENTITY."""
    assert job_of("+profile=dry").id == "f363bf6c4436"


@given(st.dictionaries(st.text(st.characters(codec="ascii", categories=["L"])), VALUES), VALUES)
def test_an_id_is_the_sha256_of_the_whole_document(found: dict[str, Any], other: Any) -> None:
    memo: job.Memo = {}
    job.id_of({"section": other, **found}, memo)
    expected = hashlib.sha256(rfc8785.dumps(found)).hexdigest()[: job.ID_DIGITS]
    assert job.id_of(found, memo) == job.id_of(found) == expected


def test_key_order_and_spelling_of_numbers_do_not_count(project: Project) -> None:
    spellings = (
        "dry: {value: 1e-5, sleep_seconds: 4, fail: false}\nseed: 4\n",
        "seed: 4.0\ndry: {fail: no, sleep_seconds: 4.0, value: 0.00001}\n",
        "seed: 0x4\ndry:\n  fail: FALSE\n  value: 1.0e-05\n  sleep_seconds: 4.\n",
    )
    ids = set()
    for number, text in enumerate(spellings):
        project.profile(f"# @package _global_\nkind: dry\n{text}", f"spelling_{number}")
        ids.add(project.read(f"+profile=spelling_{number}").cells[0].job.id)
    words = ("+profile=mine", "dry.value=1E-5", "seed=4", "dry.sleep_seconds=4.00")
    ids.add(project.read(*words).cells[0].job.id)
    assert len(ids) == 1


def _leaves(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key that a schema allows; of alternatives, the first (a stand-in)."""
    while "$ref" in node:
        node = schema.load("common")["$defs"][node["$ref"].rpartition("/")[2]]
    if "oneOf" in node:
        node = node["oneOf"][0]
    if not node.get("properties"):
        yield path
    for key, inner in node.get("properties", {}).items():
        yield from _leaves(inner, (*path, key))


def _changed(config: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    changed = copy.deepcopy(config)
    section = changed
    for part in path[:-1]:
        section = section.setdefault(part, {})
    other = next(kind for kind in kinds.KINDS if kind != config["kind"])
    section[path[-1]] = other if path == ("kind",) else ["changed", section.get(path[-1])]
    return changed


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (kind, path)
        for kind in kinds.KINDS
        for path in _leaves(schema.load(kind))
        if path[:1] != ("alphabet",) or path[1] not in scripts.SHOWN
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else value,
)
def test_runtime_is_outside_the_id_and_every_other_key_inside(
    kind: str, path: tuple[str, ...], configs_by_kind: dict[str, dict[str, Any]]
) -> None:
    config = configs_by_kind[kind]
    before = job.id_of(job.document(config))
    after = job.id_of(job.document(_changed(config, path)))
    assert (before == after) is (path[0] == "runtime")


@pytest.fixture(scope="module")
def configs_by_kind() -> dict[str, dict[str, Any]]:
    # Of a script that is known by name alone the alphabet is nowhere in the config.
    asr = job_of("+profile=asr_ctc", "script=from_data", "alphabet.name=nko")
    return {
        "adapter": job_of(STABLE).config,
        "asr": asr.config,
        "asr_features": asr.needs[0].config,
        "dry": job_of("+profile=dry").config,
    }


@pytest.mark.parametrize("word", ["title=Runes", "font=Inter", "language=bm-Latn"])
def test_how_a_script_is_shown_is_outside_the_id(word: str) -> None:
    for option in ("nko", "latin", "from_data"):
        words = ("+profile=asr_ctc", f"script={option}", "data.columns={nko:n,latin:l,text:t}")
        shown, plain = job_of(*words, f"alphabet.{word}"), job_of(*words)
        assert shown.id == plain.id
        assert ("shown" in plain.config["runtime"]) is (option == "from_data")
        assert shown.config["runtime"]["shown"][word.partition("=")[0]] == word.partition("=")[2]


def test_every_kind_is_covered(configs_by_kind: dict[str, dict[str, Any]]) -> None:
    assert set(configs_by_kind) == set(kinds.KINDS)


@pytest.mark.parametrize(
    "word", ["window=5", "target=20", "jobs=2", "force=true", "deep=true", "eval_every=2",
             "stall_seconds=9", "runtime.site.ranks_on=[{name: other, address: localhost}]"],
)  # fmt: skip
def test_how_and_where_to_run_is_outside_the_id(word: str) -> None:
    assert job_of(STABLE, word).id == job_of(STABLE).id


def test_a_revision_of_the_code_is_another_job(monkeypatch: pytest.MonkeyPatch) -> None:
    before = job_of("+profile=dry").id
    kind = kinds.KINDS["dry"]
    monkeypatch.setitem(kinds.KINDS, "dry", replace(kind, revision=kind.revision + 1))
    assert job_of("+profile=dry").id != before


def _corpus(folder: Path) -> Path:
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"messages": []}\n')
    return folder


def _with_data(folder: Path, *words: str) -> job.Job:
    return job_of(STABLE, "data=folder", f'data.source.folder="{folder}"', *words)


def test_a_moved_data_folder_keeps_the_id_and_one_byte_does_not(tmp_path: Path) -> None:
    first = _corpus(tmp_path / "ߒߞߏ with spaces, 'quotes'")
    before = _with_data(first)
    moved = first.rename(tmp_path / "moved")
    after = _with_data(moved)
    assert after.id == before.id
    assert after.runtime["paths"]["data"] == str(moved)
    assert str(moved) not in json.dumps(after.document)
    (moved / "train.jsonl").write_text('{"messages": [] }\n')
    assert _with_data(moved).id != before.id


def test_a_remembered_digest_is_forgotten_when_a_byte_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_LARGE_BYTES", 1)
    folder, word = _corpus(tmp_path / "data"), f'outputs="{tmp_path / "outputs"}"'
    before = _with_data(folder, word)
    assert _with_data(folder, word).id == before.id
    path = folder / "train.jsonl"
    stat = path.stat()
    path.write_text('{"messages": {}}\n')  # same size, same time, same inode
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert _with_data(folder, word).id != before.id


def test_a_stand_in_and_the_real_thing_are_two_jobs(tmp_path: Path) -> None:
    stand_in, real = job_of(STABLE), _with_data(_corpus(tmp_path / "data"))
    assert stand_in.id != real.id
    assert stand_in.is_stand_in
    assert real.is_stand_in  # its model still is one


def _snapshot(hub: Path, commit: str) -> None:
    root = hub / "models--mlx-community--tiny"
    (root / "snapshots" / commit).mkdir(parents=True)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / "main").write_text(commit)


def test_a_hub_model_enters_as_its_commit(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    project.write(
        "conf/model/tiny.yaml",
        "name: tiny\nsource: {hub: mlx-community/tiny, commit: main}\n",
    )
    with pytest.raises(Faults, match=r"no snapshot of mlx-community/tiny \(main\)"):
        project.read(STABLE, "model=tiny")
    jobs = []
    for digit in "ab":
        _snapshot(tmp_path / "hub", digit * 40)
        jobs.append(project.read(STABLE, "model=tiny").cells[0].job)
        assert jobs[-1].config["model"]["source"]["commit"] == digit * 40
    assert jobs[0].id != jobs[1].id
    fixed = project.read(STABLE, "model=tiny", f"model.source.commit={'a' * 40}").cells[0].job
    assert fixed.id == jobs[0].id


def test_text_in_nko_enters_the_id_exactly(project: Project) -> None:
    project.write("conf/data/ߒߞߏ.yaml", "name: nko\nsource: {folder: ߒߞߏ}\ntoo_long: drop\n")
    (project.root / "ߒߞߏ").mkdir()
    (project.root / "ߒߞߏ" / "train.jsonl").write_text("ߒ")
    first = project.read(STABLE, 'data="ߒߞߏ"').cells[0].job
    assert first.runtime["paths"]["data"] == str(project.root / "ߒߞߏ")
    (project.root / "ߒߞߏ" / "train.jsonl").write_text("ߓ")
    assert project.read(STABLE, 'data="ߒߞߏ"').cells[0].job.id != first.id


@pytest.mark.parametrize("name", ["plain", "with space", "quo'te", 'dou"ble', "ߒߞߏ", "a,b=[c]"])
def test_a_config_dir_anywhere_gives_the_same_id(tmp_path: Path, name: str) -> None:
    own = Project(tmp_path / name)
    own.profile(DRY)
    job = own.read("+profile=mine").cells[0].job
    assert job.id == job_of("+profile=dry", "dry.value=1").id
    assert "--config-dir" in job.runtime["reproduce"]


def test_an_integer_that_json_cannot_carry_is_refused_everywhere(project: Project) -> None:
    project.profile(DRY.replace("value: 1", f"value: {2**53}"))
    with pytest.raises(Faults, match=r"mine.yaml:4: dry.value: 9007199254740992 is an integer"):
        project.read("+profile=mine")
    for text in ("nan", "inf", "-inf", "1e999", str(2**53)):
        with pytest.raises(Faults, match=rf"'dry.value={text}': .* is (not|an)"):
            project.read("+profile=dry", f"dry.value={text}")


def test_other_words_or_code_behind_a_recipe_are_another_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from thunder.lanes.adapter.model import standin
    from thunder.language import sentences

    words = ["+profile=smoke"]
    ids = [requests.read(words).cells[0].job.id]
    monkeypatch.setattr(sentences, "REVISION", sentences.REVISION + 1)
    ids.append(requests.read(words).cells[0].job.id)
    monkeypatch.setattr(standin, "REVISION", standin.REVISION + 1)
    ids.append(requests.read(words).cells[0].job.id)
    assert len(set(ids)) == 3
