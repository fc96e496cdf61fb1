import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from json_values import SAFE, VALUES

from thunder.ground import digest
from thunder.ground.errors import ThunderError


def test_canonical_json_has_one_spelling() -> None:
    assert digest.canonical({"b": 4.0, "a": [1e-5, 0.00001, "ߒߞߏ", None, True]}) == (
        '{"a":[0.00001,0.00001,"ߒߞߏ",null,true],"b":4}'.encode()
    )


@given(VALUES)
def test_canonical_json_reads_back_as_the_value(value: Any) -> None:
    # An exact number may lose its point: 3e16 is written as an integer.
    assert json.loads(digest.canonical(value), parse_int=float) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), SAFE + 1, "\ud800", {1: 2}])
def test_what_json_cannot_carry_has_no_digest(value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        digest.of_value(value)


def test_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    path = tmp_path / "large"
    data = b"0123456789abcdef" * (digest.BLOCK_BYTES // 16) + b"tail"
    path.write_bytes(data)
    assert digest.of_file(path) == hashlib.sha256(data).hexdigest()


def _corpus(folder: Path) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "train.jsonl").write_text("ߒߞߏ\n")
    (folder / "deep" / "valid.jsonl").write_text("two\n")
    return folder


def test_digest_of_a_folder_does_not_depend_on_its_place(tmp_path: Path) -> None:
    first = _corpus(tmp_path / "first")
    before = digest.of_folder(first)
    second = shutil.copytree(first, tmp_path / "elsewhere" / "second")
    assert digest.of_folder(second) == before
    assert digest.of_folder(first.rename(tmp_path / "moved")) == before


@pytest.mark.parametrize("name", ["train.jsonl", "deep/valid.jsonl"])
def test_one_changed_byte_changes_the_digest_of_a_folder(tmp_path: Path, name: str) -> None:
    folder = _corpus(tmp_path / "corpus")
    before = digest.of_folder(folder)
    data = bytearray((folder / name).read_bytes())
    data[0] ^= 1
    (folder / name).write_bytes(data)
    assert digest.of_folder(folder) != before


def test_a_renamed_or_added_file_changes_the_digest_of_a_folder(tmp_path: Path) -> None:
    folder = _corpus(tmp_path / "corpus")
    before = digest.of_folder(folder)
    (folder / "train.jsonl").rename(folder / "test.jsonl")
    renamed = digest.of_folder(folder)
    (folder / "empty").touch()
    assert len({before, renamed, digest.of_folder(folder)}) == 3


def test_hidden_files_are_outside_the_digest_of_a_folder(tmp_path: Path) -> None:
    folder = _corpus(tmp_path / "corpus")
    before = digest.of_folder(folder)
    (folder / ".DS_Store").write_text("Mac")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref")
    assert digest.of_folder(folder) == before


def test_only_the_named_files_count_where_names_are_given(tmp_path: Path) -> None:
    folder = _corpus(tmp_path / "corpus")
    before = digest.of_folder(folder, ["train.jsonl"])
    (folder / "deep" / "valid.jsonl").write_text("changed")
    assert digest.of_folder(folder, ["train.jsonl"]) == before


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (1, True, False), (0, False, False), ([1], [True], False), (None, False, False),
        (4, 4.0, True), ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True), ("1", 1, False),
    ],
)  # fmt: skip
def test_sameness_is_that_of_json(first: Any, second: Any, same: bool) -> None:
    assert digest.is_same(first, second) is same


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    real, linked = tmp_path / "real", tmp_path / "linked"
    (real / "sub").mkdir(parents=True)
    (real / "sub" / "a").write_text("a")
    (real / "b").write_text("b")
    linked.mkdir()
    (linked / "sub").symlink_to(real / "sub")
    (linked / "b").symlink_to(real / "b")
    assert digest.visible_files(linked) == ["b", "sub/a"]
    assert digest.of_folder(linked) == digest.of_folder(real)


def test_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to("nowhere")
    with pytest.raises(ThunderError, match="gone: a link to nothing, 'nowhere'") as caught:
        digest.visible_files(tmp_path)
    assert caught.value.cause == "data"


def test_a_link_in_a_circle_is_told(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    with pytest.raises(ThunderError, match="sub/up: a link back to a folder that it lies in"):
        digest.visible_files(tmp_path)
