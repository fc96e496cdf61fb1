"""The rows of a speech data set: read as they are, every broken line named, sorted by id."""

import hashlib
import json
import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.asr import scripts
from thunder.lanes.asr.data import pairs

DATA = {
    "pairs": "pairs.jsonl",
    "id": "feat_id",
    "columns": {"nko": "nko", "latin": "latin"},
    "origin": None,
    "take": None,
}


def _row(feat_id: str = "a", **more: Any) -> dict[str, Any]:
    return {"feat_id": feat_id, "nko": f"ߣߌ {feat_id}", "latin": f"ni {feat_id}", **more}


def _write(folder: Path, *rows: Any, name: str = "pairs.jsonl") -> Path:
    """Write rows; text stands for a line as it is, bytes too."""
    lines = [
        row
        if isinstance(row, bytes)
        else (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)).encode()
        for row in rows
    ]
    (folder / name).write_bytes(b"\n".join(lines) + b"\n")
    return folder


def _audio(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")


def test_no_script_can_be_named_as_another_column_of_rows() -> None:
    assert {"feat_id", *pairs._REST} <= {*scripts.RESERVED}


def test_rows_come_sorted_in_the_columns_of_the_contract(tmp_path: Path) -> None:
    _write(tmp_path, _row("b", duration=2.5), _row("a"), _row("ߊ"), _row("C"))
    rows = pairs.load(tmp_path, DATA)
    assert rows.column_names == [
        "feat_id",
        "nko",
        "latin",
        "audio",
        "duration_s",
        "origin",
        "cluster",
        "group",
        "line",
    ]
    assert list(rows["feat_id"]) == sorted(["b", "a", "ߊ", "C"])
    assert rows[2] == {
        "feat_id": "b", "nko": "ߣߌ b", "latin": "ni b", "audio": None, "duration_s": 2.5,
        "origin": None, "cluster": None, "group": None, "line": 1,
    }  # fmt: skip


def test_columns_may_have_any_name(tmp_path: Path) -> None:
    _write(tmp_path, {"key": "x", "bam": "i ni ce", "ߒߞߏ": "ߌ ߣߌ ߗߋ", "id": 7}, name="p.jsonl")
    data = {**DATA, "pairs": "p.jsonl", "id": "key", "columns": {"nko": "ߒߞߏ", "latin": "bam"}}
    row = pairs.load(tmp_path, data)[0]
    assert (row["feat_id"], row["nko"], row["latin"]) == ("x", "ߌ ߣߌ ߗߋ", "i ni ce")


def test_a_script_without_a_column_is_absent(tmp_path: Path) -> None:
    _write(tmp_path, {"feat_id": "a", "latin": "ni"})
    rows = pairs.load(tmp_path, {**DATA, "columns": {"nko": None, "latin": "latin"}})
    assert rows[0]["nko"] is None


def test_a_config_without_any_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match="no column has a text"):
        pairs.load(tmp_path, {**DATA, "columns": {"nko": None, "latin": None}})


def test_texts_stay_byte_for_byte(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "é ò") + "\u200e  \u2028x "
    _write(tmp_path, _row(latin=decomposed))
    assert pairs.load(tmp_path, DATA)[0]["latin"] == decomposed


def test_a_byte_order_mark_windows_lines_and_empty_lines_do_no_harm(tmp_path: Path) -> None:
    lines = [json.dumps(_row(name)) for name in "ab"]
    (tmp_path / "pairs.jsonl").write_bytes(f"\ufeff{lines[0]}\r\n\r\n{lines[1]}".encode())
    rows = pairs.load(tmp_path, DATA)
    assert list(rows["feat_id"]) == ["a", "b"]
    assert list(rows["line"]) == [1, 3]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", r"pairs.jsonl:2: invalid JSON"),
        ("[1]", "a row is a JSON object, this is a list"),
        (b'{"feat_id": "\xff"}', r"not UTF-8: byte 0xff at column 14"),
        (r'{"feat_id": "x", "nko": "\ud800", "latin": "ni"}', "lone surrogate"),
        ({"nko": "ߣߌ", "latin": "ni"}, "'feat_id' must be text, is missing"),
        (_row(feat_id=None), "'feat_id' must be text, is null"),
        (_row(feat_id=True), "'feat_id' must be text, is true or false"),
        (_row(""), "'feat_id' is empty"),
        (_row("a/b"), "'feat_id' is 'a/b': a name is needed, not a path"),
        (_row(r"a\b"), "a name is needed, not a path"),
        (_row(".."), "a name is needed, not a path"),
        (_row(" a"), "without spaces around it"),
        (_row("a\tb"), "without spaces around it or control characters"),
        (_row("x" * 201), "is 'x{40}…': a name has 200 bytes at most"),
        ({"feat_id": "x", "latin": "ni"}, "'nko' must be text, is missing"),
        (_row("x", nko=None), "'nko' must be text, is null"),
        (_row("x", latin=["ni"]), "'latin' must be text, is a list"),
        (_row("x", latin=" \u3000"), "'latin' is empty"),
        (_row("x", audio=3), "'audio' must be a path inside the folder"),
        (_row("x", audio="/etc/x.wav"), "'audio' is '/etc/x.wav': a path inside the folder"),
        (_row("x", audio="audio/../../x.wav"), "a path inside the folder is needed"),
        (_row("x", audio="clips/.x.wav"), "a path inside the folder is needed, to no hidden file"),
        (_row("x", audio=".clips/x.wav"), "a path inside the folder is needed, to no hidden file"),
        (_row("x", audio="clips/README"), "to no hidden file and no README or the like"),
        (_row("x", duration="3"), "'duration' must be seconds, more than 0, is text: '3'"),
        (_row("x", duration_s=0), "'duration_s' must be seconds"),
        ('{"feat_id": "x", "nko": "ߣ", "latin": "n", "duration": NaN}', "is a number: nan"),
        (_row("x", duration=10**400), "must be seconds"),
        (_row("x", duration=True), "must be seconds, more than 0, is true or false"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: Any, said: str) -> None:
    _write(tmp_path, _row("a"), line, _row("c"))
    with pytest.raises(Faults, match=said) as caught:
        pairs.load(tmp_path, DATA)
    assert caught.value.cause == "data"
    assert [fault.partition(": ")[0] for fault in caught.value.faults] == ["pairs.jsonl:2"]


def test_all_faults_come_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    _write(tmp_path, _row("b"), "{", _row("a", nko=1), _row("b"), _row(""))
    with pytest.raises(Faults, match="broken rows: 4") as caught:
        pairs.load(tmp_path, DATA)
    numbers = [fault.split(":")[1] for fault in caught.value.faults]
    assert numbers == ["2", "3", "4", "5"]


def test_many_faults_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    _write(tmp_path, _row("a"), *(["{"] * 50))
    with pytest.raises(Faults, match=r"broken rows: 50(.|\n)*and 30 more"):
        pairs.load(tmp_path, DATA)


def test_an_id_that_is_there_again_names_both_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "BATCH_ROWS", 2)  # the two need not come in one batch
    _write(tmp_path, _row("b"), _row("a"), _row("c"), _row("a"), _row("b"), _row("a"), _row("d"))
    with pytest.raises(Faults) as caught:
        pairs.load(tmp_path, DATA)
    assert caught.value.faults == [
        "pairs.jsonl:4: the id 'a' again; line 2 has it already",
        "pairs.jsonl:5: the id 'b' again; line 1 has it already",
        "pairs.jsonl:6: the id 'a' again; line 2 has it already",
    ]


def test_a_column_that_no_row_has_is_said_once(tmp_path: Path) -> None:
    _write(tmp_path, *(_row(str(i)) for i in range(30)))
    data = {**DATA, "columns": {"nko": "nko", "latin": "latn"}}
    with pytest.raises(ThunderError, match=r"no column 'latn' \(did you mean 'latin'\?\); the col"):
        pairs.load(tmp_path, data)


def test_a_missing_file_says_which_files_there_are(tmp_path: Path) -> None:
    _write(tmp_path, _row(), name="rows.jsonl")
    with pytest.raises(ThunderError, match=r"No such file.*the folder has rows.jsonl"):
        pairs.load(tmp_path, DATA)
    with pytest.raises(ThunderError, match="No such file"):
        pairs.load(tmp_path / "nowhere", DATA)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_bytes(b"\n\n")
    with pytest.raises(ThunderError, match="no rows"):
        pairs.load(tmp_path, DATA)


def test_a_recording_is_found_by_its_id(tmp_path: Path) -> None:
    _write(tmp_path, *(_row(name) for name in ("a", "b.c", "d", "e", "no", "é")))
    nfd = unicodedata.normalize("NFD", "é")
    _audio(tmp_path, "audio/a.wav", "audio/b.c.FLAC", "audio/d.ogg", "audio/e.mp3",
           "audio/no.txt", "audio/.wav", f"audio/{nfd}.wav")  # fmt: skip
    audio = pairs.load(tmp_path, DATA)["audio"]
    assert list(audio) == [
        "audio/a.wav", "audio/b.c.FLAC", "audio/d.ogg", "audio/e.mp3", None, f"audio/{nfd}.wav",
    ]  # fmt: skip


def test_a_row_may_name_its_recording(tmp_path: Path) -> None:
    rows = [_row("a", audio="clips/x 1.wav"), _row("b", audio=None), _row("c", audio="./c.wav")]
    _write(tmp_path, *rows)
    _audio(tmp_path, "audio/a.wav", "audio/a.flac", "audio/b.wav")
    named = ["clips/x 1.wav", "audio/b.wav", "./c.wav"]
    assert list(pairs.load(tmp_path, DATA)["audio"]) == named


def test_a_hidden_recording_is_of_nobody_as_it_does_not_name_the_data(tmp_path: Path) -> None:
    _write(tmp_path, _row("a"), _row(".b"))
    _audio(tmp_path, "audio/a.wav", "audio/.b.wav", "audio/._a.wav")
    assert list(pairs.load(tmp_path, DATA)["audio"]) == [None, "audio/a.wav"]


@pytest.mark.parametrize(
    "name", ["../pairs.jsonl", ".pairs.jsonl", ".a/pairs.jsonl", "/p.jsonl", "README.md"]
)
def test_rows_that_do_not_name_the_data_are_not_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        ThunderError, match=r"data\.pairs is .*: a path inside the folder"
    ) as caught:
        pairs.load(tmp_path, {**DATA, "pairs": name})
    assert caught.value.cause == "user"


def test_two_recordings_of_one_id_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, _row("b"), _row("a"))
    _audio(tmp_path, "audio/a.wav", "audio/a.flac")
    with pytest.raises(Faults, match=r"pairs.jsonl:2: 'a' has more than one recording: .*a.flac"):
        pairs.load(tmp_path, DATA)


def test_duration_s_comes_before_duration(tmp_path: Path) -> None:
    _write(tmp_path, _row("a", duration=1, duration_s=2), _row("b", duration=3, duration_s=None))
    assert list(pairs.load(tmp_path, DATA)["duration_s"]) == [2.0, 3.0]


def test_origin_and_group_come_from_their_columns(tmp_path: Path) -> None:
    _write(tmp_path, _row("a", src="radio", who=3), _row("b", src=None, who="4"))
    rows = pairs.load(tmp_path, {**DATA, "origin": "src"}, by="who")
    assert list(rows["origin"]) == ["radio", None]
    assert list(rows["group"]) == ["3", "4"]
    assert list(pairs.load(tmp_path, DATA, by="text")["group"]) == [None, None]


def test_clusters_come_from_their_column_and_every_row_has_one(tmp_path: Path) -> None:
    _write(tmp_path, _row("a", speaker="Awa"), _row("b", speaker=7))
    rows = pairs.load(tmp_path, {**DATA, "cluster": "speaker"})
    assert list(rows["cluster"]) == ["Awa", "7"]
    _write(tmp_path, _row("a", speaker="Awa"), _row("b", speaker=None))
    with pytest.raises(Faults, match=r"pairs.jsonl:2: 'speaker' must be text, is null"):
        pairs.load(tmp_path, {**DATA, "cluster": "speaker"})


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (_row("b", src="x"), "'who' must be text, is missing"),
        (_row("b", src="x", who=None), "'who' must be text, is null"),
        (_row("b", who="x"), "'src' must be text, is missing"),
        (_row("b", src=1.5, who="x"), "'src' must be text, is a number"),
    ],
)
def test_a_row_without_its_group_or_origin_is_named(tmp_path: Path, row: Any, said: str) -> None:
    _write(tmp_path, _row("a", src="x", who="y"), row)
    with pytest.raises(Faults, match=f"pairs.jsonl:2: {said}"):
        pairs.load(tmp_path, {**DATA, "origin": "src"}, by="who")


def test_take_keeps_the_first_rows_by_id_and_checks_all(tmp_path: Path) -> None:
    rows = [_row(f"r{i:02d}") for i in range(40)]
    random.Random(0).shuffle(rows)
    _write(tmp_path, *rows)
    loaded = pairs.load(tmp_path, {**DATA, "take": 25})
    assert list(loaded["feat_id"]) == [f"r{i:02d}" for i in range(25)]
    assert len(pairs.load(tmp_path, {**DATA, "take": 99})) == 40
    _write(tmp_path, *rows, _row("zz", nko=""))
    with pytest.raises(Faults, match="'nko' is empty"):
        pairs.load(tmp_path, {**DATA, "take": 25})


def test_the_snapshot_can_be_made_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "BATCH_ROWS", 2)
    _write(tmp_path, *(_row(name) for name in "cab"))
    lines = [json.dumps([n, f"ߣߌ {n}", f"ni {n}"], ensure_ascii=False) for n in "abc"]
    text = "".join(f"{line}\n" for line in lines).replace(", ", ",")
    assert pairs.snapshot(pairs.load(tmp_path, DATA)) == hashlib.sha256(text.encode()).hexdigest()


def test_the_snapshot_is_of_ids_and_texts_alone(tmp_path: Path) -> None:
    def snapshot(*rows: dict[str, Any], **data: Any) -> str:
        return pairs.snapshot(pairs.load(_write(tmp_path, *rows), {**DATA, **data}))

    one = snapshot(_row("a"), _row("b"))
    assert snapshot(_row("b", duration=2), _row("a", audio="x.wav")) == one
    nfd = {"latin": unicodedata.normalize("NFD", "é")}
    nfc = {"latin": "é"}
    others = [
        snapshot(_row("a"), _row("c")),
        snapshot(_row("a"), _row("b", nko="ߣߌ")),
        snapshot(_row("a"), _row("b", **nfc)),
        snapshot(_row("a"), _row("b", **nfd)),
        snapshot(_row("a"), _row("b"), columns={"nko": None, "latin": "latin"}),
    ]
    assert len({one, *others}) == 6


def test_the_snapshot_of_other_scripts_says_which(tmp_path: Path) -> None:
    _write(tmp_path, *({"feat_id": name, "c": f"да {name}", "l": f"da {name}"} for name in "ba"))
    rows = pairs.load(
        tmp_path, {**DATA, "columns": {"translit": "l", "cyrillic": "c", "nko": None}}
    )
    assert pairs.scripts(rows) == ("cyrillic", "translit")
    assert (rows[0]["cyrillic"], rows[0]["translit"]) == ("да a", "da a")
    lines = '["feat_id","cyrillic","translit"]\n["a","да a","da a"]\n["b","да b","da b"]\n'
    assert pairs.snapshot(rows) == hashlib.sha256(lines.encode()).hexdigest()


def test_a_text_of_any_script_must_be_there(tmp_path: Path) -> None:
    _write(tmp_path, {"feat_id": "a", "fr": "ça"}, {"feat_id": "b", "fr": " "}, {"feat_id": "c"})
    with pytest.raises(Faults, match=r"jsonl:2: 'fr' is empty(.|\n)*jsonl:3: 'fr' must be text"):
        pairs.load(tmp_path, {**DATA, "columns": {"french": "fr"}})
