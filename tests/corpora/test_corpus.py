"""Reading corpora: every broken line is named, a changed byte is found."""

import json
from pathlib import Path
from typing import Any

import pytest

from thunder.corpora import build, corpus
from thunder.ground import files, json_lines
from thunder.ground.errors import Faults, ThunderError

ROW = {
    "messages": [
        {"role": "user", "content": "a bɛ kalam"},
        {"role": "assistant", "content": "a bɛ kalan"},
    ]
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in corpus.SPLITS:
        files.write_jsonl(tmp_path / f"{split}.jsonl", [ROW, {**ROW, "meta": {"mine": [1, "x"]}}])
    files.write_json(tmp_path / "manifest.json", {})
    return tmp_path


def _with_line(folder: Path, line: bytes) -> None:
    path = folder / "train.jsonl"
    path.write_bytes(path.read_bytes() + line + b"\n")


def _messages(*roles: str) -> bytes:
    return json.dumps({"messages": [{"role": r, "content": "x"} for r in roles]}).encode()


def test_rows_come_back_as_they_were_written(folder: Path) -> None:
    rows = corpus.load(folder)
    assert list(rows) == ["train", "valid", "test"]
    assert rows["train"][0]["messages"] == ROW["messages"]
    assert rows["train"][1]["meta"] == {"mine": [1, "x"]}
    assert len(rows["train"]) == 2


def test_a_corpus_with_byte_order_marks_is_read(folder: Path) -> None:
    plain = [row["messages"] for row in corpus.load(folder)["train"]]
    for path in folder.iterdir():
        path.write_bytes(json_lines.MARK + path.read_bytes())
    assert [row["messages"] for row in corpus.load(folder)["train"]] == plain


def test_a_corpus_that_is_one_json_list_is_one_message(folder: Path) -> None:
    (folder / "train.jsonl").write_text(json.dumps([ROW] * 482, indent=1))
    with pytest.raises(Faults) as caught:
        corpus.load(folder)
    said = "train.jsonl:1: this is one JSON list; JSON Lines is needed, one object on each line"
    assert caught.value.faults == [said]


def test_a_built_corpus_can_be_read(tmp_path: Path) -> None:
    source = {"recipe": "sentences", "rows": 100, "seed": 0, "script": "latin"}
    manifest = build.build_recipe(source, tmp_path / "c")
    rows = corpus.load(tmp_path / "c")
    assert {split: len(rows[split]) for split in rows} == {
        split: manifest["counts"][split] for split in rows
    }
    assert rows["test"][0]["meta"]["script"] == "latin"


def test_reading_leaves_nothing_behind(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    before = sorted(folder.iterdir())
    corpus.load(folder)
    assert list(home.iterdir()) == []
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"messages": [', "invalid JSON: Expecting value at column 15"),
        (b"[1]", "a row is a JSON object, this is a list"),
        (b"\xff{}", "not UTF-8: byte 0xff at column 1"),
        (b'{"text": "a bit"}', "no 'messages', only 'text'; a row is"),
        (b"{}", "no 'messages', only nothing"),
        (b'{"messages": "x"}', "'messages' must be a list of messages, is text"),
        (b'{"messages": []}', "'messages' must be a list of messages, is an empty list"),
        (b'{"messages": [3]}', "messages[0] must be an object, is a number"),
        (b'{"messages": [{"role": "user"}]}', "messages[0].content must be text, is missing"),
        (
            b'{"messages": [{"role": null, "content": ""}]}',
            "messages[0].role must be text, is null",
        ),
        (_messages("human"), "messages[0].role: 'human' is not one of system, user, assistant"),
        (_messages("user"), "the roles are user; they must be user and assistant in turn"),
        (_messages("assistant", "user"), "the roles are assistant, user; they must be"),
        (_messages("user", "system", "assistant"), "the roles are user, system, assistant"),
        (_messages("system"), "the roles are system; they must be"),
        (
            _messages("user", "assistant").replace(b'"x"}]', b'" "}]'),
            "messages[1].content: the assistant says nothing",
        ),
        (
            _messages("user", "assistant").replace(b'"x"', b'"\\ud800"'),
            "a lone surrogate (half a character) in the text",
        ),
        (
            _messages("user", "assistant")[:-1] + b', "meta": 3}',
            "'meta' must be an object, is a number",
        ),
        (b"[" * 100_000, "invalid JSON: nested too deep"),
        (b'\xef\xbb\xbf{"messages": []}', "invalid JSON: Unexpected UTF-8 BOM"),
    ],
)
def test_a_broken_row_is_named_by_file_and_line(folder: Path, line: bytes, fault: str) -> None:
    _with_line(folder, line)
    with pytest.raises(Faults, match="broken rows: 1") as caught:
        corpus.load(folder)
    assert caught.value.faults[0].startswith(f"train.jsonl:3: {fault}")
    assert caught.value.cause == "data"


def test_broken_rows_of_all_files_are_named_at_once_and_a_long_list_is_cut(folder: Path) -> None:
    for split in corpus.SPLITS:
        (folder / f"{split}.jsonl").write_text("x\n" * 15, encoding="utf-8")
    with pytest.raises(Faults, match="broken rows: 45") as caught:
        corpus.load(folder)
    assert len(caught.value.faults) == 21
    assert caught.value.faults[15].startswith("valid.jsonl:1:")
    assert caught.value.faults[20] == "… and 25 more"


@pytest.mark.parametrize(
    "roles",
    [
        ("user", "assistant"),
        ("system", "user", "assistant"),
        ("user", "assistant", "user", "assistant"),
    ],
)
def test_good_orders_of_roles_are_read(folder: Path, roles: tuple[str, ...]) -> None:
    _with_line(folder, _messages(*roles))
    assert len(corpus.load(folder)["train"]) == 3


def test_keys_of_others_and_blank_lines_are_read_past(folder: Path) -> None:
    row: dict[str, Any] = {**ROW, "score": 0.5}
    _with_line(folder, b"\n" + json.dumps(row).encode())
    assert [*corpus.load(folder)["train"][-1]] == ["messages", "meta", "line"]


def test_a_file_without_rows_is_refused(folder: Path) -> None:
    (folder / "valid.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(ThunderError, match=r"no rows in valid\.jsonl"):
        corpus.load(folder)


def test_missing_files_are_named_at_once(folder: Path) -> None:
    (folder / "test.jsonl").unlink()
    (folder / "manifest.json").unlink()
    match = r"missing test\.jsonl, manifest\.json; a manifest\.json of \{\} is enough"
    for read in (corpus.load, corpus.digest):
        with pytest.raises(ThunderError, match=match):
            read(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match=r"none: no such folder"):
        corpus.load(tmp_path / "none")


def test_a_changed_byte_is_found_with_expected_and_found(tmp_path: Path) -> None:
    source = {"recipe": "sentences", "rows": 100, "seed": 0, "script": "nko"}
    manifest = build.build_recipe(source, tmp_path / "c")
    path = tmp_path / "c" / "valid.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"edits": ', b'"edits":  ', 1))
    expected = manifest["sha256"]["valid.jsonl"]
    with pytest.raises(
        Faults, match=f"valid.jsonl: expected sha256 {expected}, found [0-9a-f]{{64}}"
    ):
        corpus.load(tmp_path / "c")


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_manifest_is_an_object(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(ThunderError, match=r"manifest\.json: "):
        corpus.load(folder)


def test_a_manifest_of_our_own_is_checked_against_its_schema(folder: Path) -> None:
    files.write_json(folder / "manifest.json", {"created_by": "thunder", "name": "x"})
    with pytest.raises(ThunderError, match="breaks schemas/corpus_manifest"):
        corpus.load(folder)


def test_the_digest_is_of_the_content_and_not_of_the_place(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in corpus.NAMES:
        (moved / name).write_bytes((folder / name).read_bytes())
    assert corpus.digest(moved) == corpus.digest(folder)
    _with_line(moved, b"{}")
    assert corpus.digest(moved) != corpus.digest(folder)


def test_a_row_keeps_the_line_of_its_file(folder: Path) -> None:
    path = folder / "train.jsonl"
    path.write_bytes(b"\n\n" + path.read_bytes())
    files.write_json(folder / "manifest.json", {})
    assert corpus.load(folder)["train"][0]["line"] == 3
