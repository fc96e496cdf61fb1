"""`thunder corpus import-speech` as it is typed: pipes, odd names, too little left, channels."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import running
import soundfile
from asr_fixtures import RATE, noise

from thunder.commands import requests, tasks
from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.data import imported
from thunder.lanes.asr.features import log_mel
from thunder.lanes.asr.features.rows import Framed, Row

WORDS = ("one", "two", "three", "four", "flac", "wav", "seven", "eight")


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Return a folder with a recording of each word, and a list of what is said."""
    (tmp_path / "sounds").mkdir()
    for seed, word in enumerate(WORDS):
        soundfile.write(tmp_path / "sounds" / f"{word}.wav", noise(0.5, seed), RATE)
    (tmp_path / "list.txt").write_text("".join(f"{word}: it is {word}\n" for word in WORDS))
    return tmp_path


def _import(folder: Path, *options: str, into: str = "data") -> int:
    words = [str(folder / "sounds"), str(folder / "list.txt"), "--into", str(folder / into)]
    return tasks.main(["corpus", "import-speech", *words, *options])


def _bash(line: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    return subprocess.run(
        ["bash", "-c", line], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )


def _rows(folder: Path) -> list[str]:
    return [row["feat_id"] for row in files.read_jsonl(folder / "pairs.jsonl")]


def test_a_word_that_is_also_a_suffix_keeps_its_name(recorded: Path) -> None:
    assert _import(recorded) == 0
    assert _rows(recorded / "data") == sorted(WORDS)


def test_transcripts_from_a_pipe_are_hashed_as_they_were_read(recorded: Path) -> None:
    text = "".join(f"{word}: it is {word}\n" for word in WORDS)
    done = _bash(f"thunder corpus import-speech sounds <(printf '%s' '{text}') data", recorded)
    assert done.returncode == 0, done.stderr
    (described,) = files.read_json(recorded / "data" / "manifest.json")["inputs"]
    assert described["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert described["rows"] == len(WORDS)


@pytest.mark.parametrize("into", ["my speech (1)", "ߒߞߏ, 'x' & $HOME"])
def test_the_command_that_is_printed_can_be_pasted(
    recorded: Path, into: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _import(recorded, into=into) == 0
    (use,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("use it: ")]
    pasted = f"{use.removeprefix('use it: ')} dry_run=true"
    done = _bash(pasted, recorded)
    assert done.returncode == 0, done.stderr
    assert "planned" in done.stdout + done.stderr


def test_an_import_says_what_to_do_about_figures_and_which_model_is_real(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recorded / "list.txt").write_text("one: 1\n" + "".join(f"{w}: so {w}\n" for w in WORDS[1:]))
    (recorded / "x").mkdir()
    assert _import(recorded, into="x/../data") == 0
    said = capsys.readouterr().out
    assert "left out 1: digits: one; numbers must be written out as the words" in said
    assert f"and why: {recorded / 'data' / 'manifest.json'}\n" in said
    assert f"data.source.folder={recorded / 'data'}\n" in said
    assert "site=local trains a small stand-in model; a real one: model=ctc_large" in said
    words = ["+profile=asr_ctc", "data=speech_folder", "script=latin", "data.columns.nko=null"]
    words += [f"data.source.folder='{recorded / 'data'}'", "model=ctc_large"]
    assert not requests.read(words).cells[0].job.is_stand_in


def test_a_column_that_cannot_be_one_is_told_by_its_rule(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _import(recorded, "--script=from_data", "--column=français") == 1
    assert "'français' cannot name a column of text: lower case" in capsys.readouterr().err


def test_too_little_that_is_left_is_a_failure_and_nothing_is_kept(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{word}: it is {word}\n" for word in (*WORDS[:3], *"abcdefgh")]
    (recorded / "list.txt").write_text("".join(lines))
    assert _import(recorded) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "8 of 11 transcripts left out, and --most-left-out allows 50%; nothing" in printed.err
    assert "8: no_audio: a, b, c, d, e and 3 more" in printed.err
    assert sorted(path.name for path in recorded.iterdir()) == ["list.txt", "sounds"]
    assert _import(recorded, "--most-left-out=0.8") == 0
    assert _rows(recorded / "data") == ["one", "three", "two"]


def test_recordings_that_nobody_wrote_down_count_as_well(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recorded / "list.txt").write_text("one: it is one\n")
    assert _import(recorded) == 1
    assert "7 of 8 recordings left out" in capsys.readouterr().err


def test_recordings_that_cannot_be_heard_count_as_well(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in WORDS[:5]:
        (recorded / "sounds" / f"{word}.wav").write_bytes(b"RIFF")
    assert _import(recorded) == 1
    assert "5 of 8 transcripts left out" in (said := capsys.readouterr().err)
    assert "  5: unreadable_audio: flac, four, one, three, two\n" in said
    assert "    5: flac: not readable as audio: " in said
    assert said.endswith("; likewise four, one, three, two\n")
    assert not (recorded / "data").exists()


def test_why_recordings_cannot_be_heard_is_counted_and_told_of_the_first(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for count, word in enumerate(("one", "two"), 1):
        soundfile.write(recorded / "sounds" / f"{word}.wav", noise(0.5)[: 16 * count], RATE)
    (recorded / "sounds" / "three.wav").write_bytes(b"")
    assert _import(recorded) == 0
    said = capsys.readouterr().out
    assert "  left out 3: unreadable_audio: one, three, two\n" in said
    assert "    2: one: too short: 1.0 ms; likewise two\n" in said
    assert "    1: three: an empty file\n" in said


def test_however_many_reasons_there_are_the_screen_has_room() -> None:
    reasons = {f"{word}{n}": f"{n} is {word}" for word in "abcdefghijkl" for n in range(100)}
    head, *below = imported.left_out_lines({imported.UNREADABLE: reasons}, "left out ")
    assert head == "left out 1,200: unreadable_audio: a0, a1, a2, a3, a4 and 1,195 more"
    assert below[0] == "  100: a0: 0 is a; likewise a1, a2, a3, a4, a5 and 94 more"
    assert below[-1] == "  400: of 4 other reasons"
    assert len(below) == 9


@pytest.mark.parametrize("share", ["1.5", "-0.1", "half", "nan"])
def test_a_share_that_is_none_is_refused(
    recorded: Path, share: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _import(recorded, f"--most-left-out={share}") == 1
    assert f"{share!r} is not a share from 0 to 1" in capsys.readouterr().err


def test_channels_that_cancel_are_named_and_one_can_be_chosen(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stereo = np.stack([noise(0.5), -noise(0.5)], axis=1)
    soundfile.write(recorded / "sounds" / "one.wav", stereo, RATE)
    assert _import(recorded) == 0
    said = capsys.readouterr().out
    assert "left out 1: unreadable_audio: one\n" in said
    assert "1: one: its 2 channels cancel when mixed" in said
    assert ": hear one, by --channel=left\n" in said
    assert "features.channel" not in said
    omitted = files.read_json(recorded / "data" / "manifest.json")["omitted"]
    assert "its 2 channels cancel when mixed" in omitted["unreadable_audio"]["one"]
    assert _import(recorded, "--channel=left", into="left") == 0
    assert "features.channel=left data.source.folder=" in capsys.readouterr().out
    assert _rows(recorded / "left") == sorted(WORDS)
    assert _import(recorded, "--channel=lft", into="other") == 1
    assert "there is mix, left, right, first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("count", "said"),
    [(1, "1 row would be 0 train, 0 valid, 1 test"), (5, "5 rows would be 4 train, 0 valid, 1 t")],
)
def test_too_few_rows_for_a_split_are_told_in_place_of_the_command(
    recorded: Path, count: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (recorded / "list.txt").write_text("".join(f"{word}: it is\n" for word in WORDS[:count]))
    assert _import(recorded, "--most-left-out=1") == 0
    out = capsys.readouterr().out
    assert f"  latin: too little to train on: {said}" in out
    assert "at least 6 are needed (split.train=0.8, split.valid=0.1)\n" in out
    assert "use it" not in out
    words = ["+profile=asr_ctc", "data=speech_folder", "script=latin", "data.columns.nko=null"]
    words += [f"data.source.folder={recorded / 'data'}", f"outputs={recorded / 'outputs'}"]
    with pytest.raises(ThunderError, match=r"a part is empty: .* 0 valid"):
        running.here(*words)


def test_six_rows_are_enough_for_a_split(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recorded / "list.txt").write_text("".join(f"{word}: it is\n" for word in WORDS[:6]))
    assert _import(recorded) == 0
    out = capsys.readouterr().out
    assert "\nuse it: " in out
    assert "too little" not in out


def test_texts_that_do_not_fit_their_sound_are_counted_and_named(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = {word: "a sentence of more letters" for word in WORDS[:2]}
    lines = [f"{word}: {long.get(word, 'it is')}\n" for word in WORDS]
    (recorded / "list.txt").write_text("".join(lines))
    assert _import(recorded) == 0
    out = capsys.readouterr().out
    said = "latin: 2 of 8 rows have more letters than frames at 25 a second (model.stride=2), and"
    assert f"  {said} train nothing: one, two\nuse it: " in out
    (recorded / "list.txt").write_text("".join(f"{w}: {long['one']}\n" for w in WORDS))
    assert _import(recorded, into="all") == 0
    out = capsys.readouterr().out
    assert "latin: 8 of 8 rows have" in out
    assert "latin: too little to train on: those that fit are 0 train, 0 valid, 0 test; are" in out
    assert "use it" not in out


def test_what_fits_is_counted_with_the_blanks_between_equal_letters(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = dict(zip(WORDS, ["abcdefghijklm", "abcdefghijklmn", "abcdefghijkll"], strict=False))
    lines = [f"{word}: {texts.get(word, 'it is')}\n" for word in WORDS]
    (recorded / "list.txt").write_text("".join(lines))  # 0.5 s are 13 frames after the stride
    assert _import(recorded) == 0
    assert "and train nothing: three, two\n" in capsys.readouterr().out


def test_an_offset_is_kept_with_a_note(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(recorded / "sounds" / "one.wav", noise(0.5) / 4 + 0.5, RATE)
    assert _import(recorded) == 0
    said = capsys.readouterr().out
    assert "  kept, with a note, 1: constant_offset: one\n    1: one: a constant offset of" in said
    noticed = files.read_json(recorded / "data" / "manifest.json")["noticed"]
    assert noticed["constant_offset"]["one"].startswith("a constant offset of 0.5")


def test_a_format_can_be_said(recorded: Path) -> None:
    (recorded / "list.txt").write_text("".join(f"it is {word} ({word})\n" for word in WORDS))
    assert _import(recorded, "--format=trn") == 0
    assert len(_rows(recorded / "data")) == len(WORDS)


@pytest.mark.slow
def test_lists_in_two_scripts_have_a_format_each_and_a_command_each(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recorded / "french").write_text("".join(f"{word} l'été {word}\n" for word in WORDS[1:]))
    lists = ",".join(str(recorded / name) for name in ("list.txt", "french"))
    words = ["--script=latin,from_data", "--column=latin,french", "--channel=right"]
    call = ["corpus", "import-speech", str(recorded / "sounds"), lists, str(recorded / "a b")]
    assert tasks.main([*call, *words, "--format=colon,kaldi,trn"]) == 1
    assert "3 formats for 2 files" in capsys.readouterr().err
    assert tasks.main([*call, *words, "--format=colon,kaldi"]) == 0
    rows = list(files.read_jsonl(recorded / "a b" / "pairs.jsonl"))
    assert [row["feat_id"] for row in rows] == sorted(WORDS[1:])
    assert (rows[0]["latin"], rows[0]["french"]) == ("it is eight", "l’été eight")
    inputs = files.read_json(recorded / "a b" / "manifest.json")["inputs"]
    assert [(one["path"], one["rows"]) for one in inputs] == [("list.txt", 8), ("french", 7)]
    printed = capsys.readouterr().out.splitlines()
    uses = [line.removeprefix("use it: ") for line in printed if line.startswith("use it: ")]
    assert ["script=latin" in use for use in uses] == [True, False]
    for use in uses:
        done = _bash(f"{use} dry_run=true", recorded)
        assert done.returncode == 0, done.stderr


def test_the_folder_that_the_names_begin_in_is_told(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recorded / "sounds").rename(recorded / "wavs")
    (recorded / "sounds").mkdir()
    (recorded / "wavs").rename(recorded / "sounds" / "wavs")
    assert _import(recorded) == 1
    assert f"; name the folder {recorded / 'sounds' / 'wavs'}" in capsys.readouterr().err


def test_a_length_is_that_of_what_was_decoded_in_the_import_and_in_the_features(
    recorded: Path,
) -> None:
    (recorded / "sounds" / "one.wav").unlink()
    path = recorded / "sounds" / "one.mp3"
    rising = noise(2.0) * np.linspace(0.01, 1, 2 * RATE)
    soundfile.write(path, rising, RATE, bitrate_mode="VARIABLE", compression_level=0.5)
    data = path.read_bytes()
    path.write_bytes(data[data.index(data[:2], 4) :])  # without the frame that counts the others
    assert _import(recorded) == 0
    (row,) = [
        r for r in files.read_jsonl(recorded / "data" / "pairs.jsonl") if r["feat_id"] == "one"
    ]
    (framed,) = log_mel.extractor(recorded / "data", 80, 30.0)(
        [Row("one", 1, "audio/one.mp3", None)]
    )
    assert isinstance(framed, Framed)
    assert row["duration_s"] == pytest.approx(2.0, abs=0.12)
    assert framed.duration_s == pytest.approx(row["duration_s"], abs=1e-4)
    assert len(framed.frames) == pytest.approx(row["duration_s"] * 50, abs=1)


def test_what_is_copied_is_what_was_heard(recorded: Path) -> None:
    (recorded / "sounds" / "one.wav").write_bytes(b"RIFF")
    assert _import(recorded) == 0
    assert not (recorded / "data" / "audio" / "one.wav").exists()
    assert len(list((recorded / "data" / "audio").iterdir())) == len(WORDS) - 1
