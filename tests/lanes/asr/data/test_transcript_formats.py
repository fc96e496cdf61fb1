"""Lists of transcripts in the formats that people have: told by name or by --format."""

import json
import re
from pathlib import Path

import pytest

from thunder.ground import digest
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.asr.data import recordings, transcript_formats, transcripts

WANTED = {"a1": "ni taa", "b-2": "i ni ce: foro"}
KALDI = "a1 ni taa\nb-2  i ni ce: foro\n"
LJSPEECH = "a1|ni 2 taa|ni taa\nb-2|i ni ce: foro|i ni ce: foro\n"
HUGGING_FACE = 'file_name,speaker,transcription\na1.wav,1,ni taa\n"b-2.wav",2,"i ni ce: foro"\n'
TRN = ";; remark\nni taa (a1)\ni ni ce: foro (b-2)\n"
COMMON_VOICE = (
    "client_id\tpath\tsentence\tup_votes\nx\ta1.mp3\tni taa\t2\ny\tb-2.mp3\ti ni ce: foro\t0\n"
)
COLON = "a1: ni taa\nb-2: i ni ce: foro\n"
JSONL = '{"file_name": "a1.wav", "text": "ni taa"}\n{"path": "b-2", "text": "i ni ce: foro"}\n'
FILES = {
    "text": ("kaldi", KALDI),
    "metadata.csv": ("ljspeech", LJSPEECH),
    "train.csv": ("csv", HUGGING_FACE),
    "ref.trn": ("trn", TRN),
    "validated.tsv": ("tsv", COMMON_VOICE),
    "core-sounds-en.txt": ("colon", COLON),
    "metadata.jsonl": ("jsonl", JSONL),
    "metadata.json": ("jsonl", JSONL),
}


def _write(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("name", FILES)
def test_a_format_is_told_by_the_name_of_the_file(tmp_path: Path, name: str) -> None:
    listed = transcripts.read(_write(tmp_path, name, FILES[name][1]))
    assert (listed.texts, listed.count) == (WANTED, 2)


def test_metadata_csv_is_of_hugging_face_when_its_first_line_names_columns(tmp_path: Path) -> None:
    assert transcripts.read(_write(tmp_path, "metadata.csv", HUGGING_FACE)).texts == WANTED


@pytest.mark.parametrize(("format", "content"), FILES.values())
def test_a_format_is_told_by_a_person(tmp_path: Path, format: str, content: str) -> None:
    assert transcripts.read(_write(tmp_path, "list", content), format).texts == WANTED


def test_every_format_is_tried_here() -> None:
    assert {format for format, _ in FILES.values()} == {*transcript_formats.FORMATS}


@pytest.mark.parametrize("content", [KALDI, LJSPEECH, TRN, HUGGING_FACE])
def test_a_list_of_no_known_format_is_one_message_that_says_which_are_read(
    tmp_path: Path, content: str
) -> None:
    path = _write(tmp_path, "list.lst", content.replace(": ", " ") * 300)
    with pytest.raises(ThunderError) as caught:
        transcripts.read(path)
    said = str(caught.value)
    assert "lines are not as colon, `name: text`" in said
    assert re.search(r"line \d: no `name: text`", said)
    assert all(f"{name} (" in said for name in transcript_formats.FORMATS)
    assert "\n" not in said


@pytest.mark.parametrize("name", ["list.json", "list.jsonl", "list.txt"])
def test_a_json_list_is_one_sentence_however_it_is_called(tmp_path: Path, name: str) -> None:
    rows = [{"path": f"a{number}", "text": "ni taa"} for number in range(30)]
    with pytest.raises(Faults) as caught:
        transcripts.read(_write(tmp_path, name, json.dumps(rows, indent=1)))
    assert caught.value.faults == [
        f"{name}:1: this is one JSON list; JSON Lines is needed, one object on each line"
    ]


def test_a_format_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match=r"--format kaldy: not a format \(did you mean 'kaldi'"):
        transcripts.read(_write(tmp_path, "text", KALDI), "kaldy")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metadata.csv", "a|x\nb\n|y\n", r"csv:2: 1 columns; needed: `name\|text`(.|\n)*csv:3: "),
        ("ref.trn", "x (a)\ny b\n(a b)\n", r"trn:2: no `text \(name\)`: 'y b'(.|\n)*trn:3: "),
        ("train.csv", "file_name,text\na.wav,x,y\n", "csv:2: 3 columns; needed: file_name, text"),
        ("train.csv", 'file_name,text\na.wav,"x\n', "csv:2: unexpected end of data"),
    ],
)
def test_a_line_of_another_format_is_named(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    with pytest.raises(Faults, match=said) as caught:
        transcripts.read(_write(tmp_path, name, content))
    assert "--format may say another: colon, tsv, " in str(caught.value)


def test_a_cell_of_a_csv_may_go_over_two_lines(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.csv", 'file_name,text\na.wav,"ni\n\ntaa"\nb.wav,ce\n')
    assert transcripts.read(path).texts == {"a": "ni taa", "b": "ce"}


def test_a_name_without_a_text_is_left_out_by_name(tmp_path: Path) -> None:
    listed = transcripts.read(_write(tmp_path, "text", "a1\nb ni\n"))
    assert (listed.texts, listed.omitted) == ({"b": "ni"}, {"not_speech": {"a1": ""}})


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("flac", "flac"), ("wav", "wav"), ("a/mp3", "a/mp3"), (".wav", ".wav"), ("wav.wav", "wav"),
        ("a/b.FLAC", "a/b"), ("1.5", "1.5"), ("x.m4a", "x.m4a"), ("a.wav.ogg", "a.wav"),
        ("a.d/flac", "a.d/flac"),
    ],
)  # fmt: skip
def test_a_name_loses_the_suffix_of_a_recording_and_nothing_else(name: str, stem: str) -> None:
    assert recordings.stem(name) == stem
    assert recordings.is_recording(name) == (stem != name)


def test_the_digest_is_that_of_the_bytes_that_were_read(tmp_path: Path) -> None:
    path = _write(tmp_path, "list", COLON)
    assert transcripts.read(path).sha256 == digest.of_file(path)
