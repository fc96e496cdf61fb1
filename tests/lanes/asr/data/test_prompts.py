"""Recorded prompts become a data folder; whatever is left out is counted and named."""

import gzip
import json
import unicodedata
import wave
from pathlib import Path
from typing import Any

import pytest

from thunder.ground import files, schema
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.asr.data import imported, listing, pairs, prompts, transcripts

pytest.importorskip("soundfile")

DATA = {
    "pairs": "pairs.jsonl", "id": "feat_id", "columns": {"nko": None, "latin": "latin"},
    "origin": "origin", "take": None,
}  # fmt: skip
ASTERISK = """\
; Core sounds

activated: Activated.
digits/1: one
digits/h-1: first
letters/at: at [@]
beep: [this is a simple beep tone]
join: <beep ascending>
silence/2: (2 seconds of silence)
conf-adminmenu: Please press 1 to mute
dictate/help: press * to toggle pause
lost: Nobody recorded this.
priv: I have a caller waiting, who introduces themselves as:
vm-goodbye: Goodbye
vm-goodbye: Goodbye
twice: One thing.
twice: Another thing.
"""
RECORDED = (
    "activated", "digits/1", "digits/h-1", "letters/at", "beep", "join", "silence/2",
    "conf-adminmenu", "dictate/help", "priv", "vm-goodbye", "twice", "unheard",
)  # fmt: skip


def _record(path: Path, seconds: float = 0.5, rate: int = 8000) -> Path:
    """Write a low hum that starts and stops."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = [1000 * ((i // 40) % 2 * 2 - 1) for i in range(int(seconds * rate))]
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(rate)
        stream.writeframes(b"".join(s.to_bytes(2, "little", signed=True) for s in samples))
    return path


@pytest.fixture
def prompt_folder(tmp_path: Path) -> Path:
    for name in RECORDED:
        _record(tmp_path / "sounds" / f"{name}.wav")
    (tmp_path / "list.txt").write_text(ASTERISK)
    return tmp_path


def _import(folder: Path, name: str = "list.txt", **more: Any) -> dict[str, Any]:
    wishes = imported.Wishes(**{"most_left_out": 1.0, **more})
    asked = [listing.Asked(folder / name)]
    return prompts.import_speech(folder / "sounds", asked, folder / "data", wishes)


def _listed(folder: Path, name: str, text: str | bytes) -> transcripts.Transcripts:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return transcripts.read(path)


def test_every_recording_and_transcript_is_used_or_named(prompt_folder: Path) -> None:
    manifest = _import(prompt_folder)
    assert manifest["omitted"] == {
        "not_speech": {"beep": "[this is a simple beep tone]", "join": "<beep ascending>"},
        "silence": {"silence/2": "(2 seconds of silence)"},
        "digits": {"conf-adminmenu": "Please press 1 to mute"},
        "foreign_characters": {"dictate/help": "press * to toggle pause"},
        "duplicate_transcript": {"vm-goodbye": "Goodbye (2 times)"},
        "conflicting_transcripts": {"twice": "One thing. | Another thing."},
        "no_audio": {"lost": "Nobody recorded this."},
        "no_transcript": {"unheard": ""},
    }
    assert manifest["changed"] == {"letters/at": "at [@]"}
    assert manifest["counts"] == {
        "rows": 6,
        "omitted": {reason: len(names) for reason, names in manifest["omitted"].items()},
        "changed": 1,
    }


def test_the_result_is_a_data_folder(prompt_folder: Path) -> None:
    _import(prompt_folder)
    rows = pairs.load(prompt_folder / "data", DATA)
    assert {row["feat_id"]: (row["latin"], row["origin"]) for row in rows} == {
        "activated": ("Activated.", "."),
        "digits__1": ("one", "digits"),
        "digits__h-1": ("first", "digits"),
        "letters__at": ("at", "letters"),
        "priv": ("I have a caller waiting, who introduces themselves as:", "."),
        "vm-goodbye": ("Goodbye", "."),
    }
    assert rows[1]["audio"] == "audio/digits__1.wav"
    assert rows[1]["duration_s"] == 0.5
    copy = prompt_folder / "data" / "audio" / "digits__1.wav"
    assert copy.read_bytes() == (prompt_folder / "sounds" / "digits" / "1.wav").read_bytes()


def test_rows_and_manifest_keep_their_schemas(prompt_folder: Path) -> None:
    manifest = _import(prompt_folder, license="CC-BY-SA-3.0")
    assert manifest == files.read_json(prompt_folder / "data" / "manifest.json")
    schema.check("pairs_manifest", manifest, "manifest")
    assert (manifest["stand_in"], manifest["license"]) == (False, "CC-BY-SA-3.0")
    assert manifest["inputs"][0]["rows"] == 15
    for row in files.read_jsonl(prompt_folder / "data" / "pairs.jsonl"):
        schema.check("pairs_row", row, "row")


def test_recordings_that_cannot_be_used_are_named(prompt_folder: Path) -> None:
    sounds = prompt_folder / "sounds"
    (sounds / "activated.wav").write_bytes(b"RIFF no sound")
    (sounds / "priv.wav").write_bytes(b"")
    (sounds / "digits" / "1.ogg").write_bytes(b"x")
    (sounds / "CREDITS").write_text("who spoke")
    omitted = _import(prompt_folder)["omitted"]
    assert set(omitted["unreadable_audio"]) == {"activated", "priv"}
    assert all(omitted["unreadable_audio"].values())
    assert omitted["second_recording"] == {"digits/1.ogg": "1.wav was taken"}
    assert omitted["not_audio"] == {"CREDITS": ""}


def test_nothing_is_left_when_no_recording_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "a.wav").write_bytes(b"x")
    (tmp_path / "list.txt").write_text("a: text")
    with pytest.raises(ThunderError, match="none of its recordings could be used") as caught:
        _import(tmp_path)
    assert "a: not readable as audio" in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.txt", "sounds"]


def test_names_that_never_meet_are_shown(prompt_folder: Path) -> None:
    with pytest.raises(ThunderError, match=r"transcripts name 'activated', .* are 'sounds/activa"):
        prompts.import_speech(
            prompt_folder, [listing.Asked(prompt_folder / "list.txt")], prompt_folder / "data"
        )


def test_a_target_that_is_there_is_refused(prompt_folder: Path) -> None:
    _import(prompt_folder)
    with pytest.raises(ThunderError, match="data exists; a corpus is never built over another"):
        _import(prompt_folder)


@pytest.mark.parametrize("name", ["${x}", "${now:}", "a${x}/b"])
def test_a_target_that_no_config_can_name_is_refused_at_the_start(
    prompt_folder: Path, name: str
) -> None:
    asked = [listing.Asked(prompt_folder / "list.txt")]
    with pytest.raises(ThunderError, match="begins a reference in every config"):
        prompts.import_speech(prompt_folder / "sounds", asked, prompt_folder / "new" / name)
    assert not (prompt_folder / "new").exists()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a: text")
    with pytest.raises(ThunderError, match="no such folder"):
        _import(tmp_path)


def test_a_library_that_is_not_installed_is_named(
    prompt_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ThunderError, match=r"soundfile and soxr not installed.*\.\[asr\]"):
        _import(prompt_folder)


def test_two_paths_that_give_one_id_are_refused(tmp_path: Path) -> None:
    for name in ("a/b", "a__b"):
        _record(tmp_path / "sounds" / f"{name}.wav")
    (tmp_path / "list.txt").write_text("a/b: one\na__b: two")
    with pytest.raises(ThunderError, match="its id 'a__b' is that of another recording"):
        _import(tmp_path)
    assert not (tmp_path / "data").exists()


def test_a_name_that_no_row_can_have_is_refused(tmp_path: Path) -> None:
    _record(tmp_path / "sounds" / "a\tb.wav")
    (tmp_path / "list.txt").write_text("a\tb: one")
    with pytest.raises(ThunderError, match="control characters; rename it"):
        _import(tmp_path)


def test_progress_is_told_after_each_recording(prompt_folder: Path) -> None:
    told: list[tuple[int, int]] = []
    prompts.import_speech(
        prompt_folder / "sounds", [listing.Asked(prompt_folder / "list.txt")],
        prompt_folder / "data",
        imported.Wishes(most_left_out=1.0), lambda done, of: told.append((done, of)),
    )  # fmt: skip
    assert told == [(i, 6) for i in range(1, 7)]


def test_the_licence_is_read_from_a_debian_copyright_file(prompt_folder: Path) -> None:
    (prompt_folder / "copyright").write_text(
        "Format: x\n\nFiles: *\nCopyright: 2010, Somebody\nComment: The CREDITS file:\n"
        " License: of the comment\nLicense: CC-BY-SA-3.0\n\nFiles: debian/*\nLicense: GPL-2+\n"
    )
    assert _import(prompt_folder)["license"] == "CC-BY-SA-3.0"


def test_no_licence_is_null(prompt_folder: Path) -> None:
    assert _import(prompt_folder)["license"] is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.txt", "; remark\na/b: ni taa\nc.wav: i ni ce\n"),
        ("t.tsv", "a/b.wav\tni taa\n./c.FLAC\ti ni ce\n"),
        ("t.tsv", "client\tpath\tsentence\n1\ta/b.wav\tni taa\n2\tc.mp3\ti ni ce\n"),
        ("t.jsonl", '{"path": "a/b.wav", "text": "ni taa"}\n{"file": "c", "sentence": "i ni ce"}'),
        ("t.txt", "\ufeffa/b: ni  taa\r\nc: i ni ce\r\n"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_transcripts_are_read_from_several_forms(
    tmp_path: Path, name: str, text: str, packed: bool
) -> None:
    data = gzip.compress(text.encode()) if packed else text.encode()
    listed = _listed(tmp_path, name + ".gz" * packed, data)
    assert listed.texts == {"a/b": "ni taa", "c": "i ni ce"}
    assert (listed.omitted, listed.changed, listed.count) == ({}, {}, 2)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.txt", "a: x\nno colon here\n: no name\n", r"t.txt:2: no `name: text`(.|\n)*t.txt:3:"),
        ("t.txt", b"a: x\nb: \xff\n", r"t.txt:2: not UTF-8: byte 0xff at column 4"),
        ("t.tsv", "a\tx\nb\ny\tz\tw\n", r"t.tsv:2: 1 columns; needed: path, text(.|\n)*t.tsv:3: 3"),
        ("t.tsv", "path\ttext\nb\n", r"t.tsv:2: 1 columns; needed: path, text"),
        ("t.jsonl", '{"path": "a"}\n{', r"t.jsonl:1: needed are path/.*it has path(.|\n)*l:2: inv"),
        ("t.txt", "; nothing\n", "no transcripts"),
        ("t.txt.gz", b"\x1f\x8b broken", "broken gzip"),
    ],
)
def test_broken_transcripts_are_named(
    tmp_path: Path, name: str, text: str | bytes, said: str
) -> None:
    with pytest.raises((Faults, ThunderError), match=said) as caught:
        _listed(tmp_path, name, text)
    assert caught.value.cause == "data"


def test_an_empty_transcript_is_named(tmp_path: Path) -> None:
    listed = _listed(tmp_path, "t.tsv", "a.wav\t\nb.wav\tni\n")
    assert listed.omitted == {"not_speech": {"a": ""}}


def test_texts_and_names_are_brought_to_one_form(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "é")
    listed = _listed(tmp_path, "t.jsonl", json.dumps({"path": f"{name}.wav", "text": "n'a  é"}))
    assert listed.texts == {"é": "n’a é"}


def test_names_of_files_and_transcripts_meet_in_either_form(tmp_path: Path) -> None:
    _record(tmp_path / "sounds" / f"{unicodedata.normalize('NFD', 'é')}.wav")
    (tmp_path / "list.txt").write_text("é: ni")
    assert _import(tmp_path)["counts"]["rows"] == 1
    assert pairs.load(tmp_path / "data", DATA)[0]["audio"] == "audio/é.wav"


def test_transcripts_that_are_all_left_out_are_told_with_the_reason(tmp_path: Path) -> None:
    _record(tmp_path / "sounds" / "hello.wav")
    (tmp_path / "texts.tsv").write_text("path\tsentence\nhello.wav\tߊ ߓߍ\n", encoding="utf-8")
    with pytest.raises(
        ThunderError, match=r"left out 1 for foreign_characters.*not of it are 'ߊ' .*--script nko"
    ):
        prompts.import_speech(
            tmp_path / "sounds", [listing.Asked(tmp_path / "texts.tsv")], tmp_path / "made"
        )
    assert not (tmp_path / "made").exists()
