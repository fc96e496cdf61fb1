"""The stand-in data set: the same bytes every time, whole or not there at all."""

import subprocess
import sys
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import running

from thunder.ground import digest, files, schema
from thunder.ground.errors import ThunderError, cause_of
from thunder.lanes.asr.data import pairs
from thunder.lanes.asr.speech import sounds, spoken
from thunder.language import bridge

RECIPE = {"recipe": "spoken", "rows": 40, "seed": 0}
DATA = {
    "pairs": "pairs.jsonl", "id": "feat_id", "columns": {"nko": "nko", "latin": "latin"},
    "origin": "voice", "take": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("spoken") / "data"
    spoken.build(RECIPE, target)
    return target


def _rows(folder: Path) -> list[dict[str, Any]]:
    return list(files.read_jsonl(folder / "pairs.jsonl"))


def test_a_disk_that_is_full_while_it_speaks_is_named_and_nothing_stays(tmp_path: Path) -> None:
    with running.no_file_above(20_000), pytest.raises(OSError, match="too large") as caught:
        spoken.build(RECIPE, tmp_path / "data")
    assert cause_of(caught.value) == "write"
    assert str(caught.value.filename).startswith(str(tmp_path))
    assert [*tmp_path.iterdir()] == []


def test_two_builds_are_the_same_byte_by_byte(built: Path, tmp_path: Path) -> None:
    spoken.build(RECIPE, tmp_path / "again")
    assert digest.of_folder(tmp_path / "again") == digest.of_folder(built)
    assert digest.visible_files(built) == digest.visible_files(tmp_path / "again")


def test_the_texts_of_a_recipe_are_pinned(built: Path) -> None:
    """May change with a REVISION of spoken or sentences, or with another bridge."""
    rows = pairs.load(built, DATA)
    assert pairs.snapshot(rows)[:12] == "8401fd4a97cb"


def test_the_folder_is_read_as_any_other(built: Path) -> None:
    rows = pairs.load(built, DATA, by="voice")
    assert len(rows) == 40
    assert rows[7]["audio"] == "audio/bam_train_000007.wav"
    names = {voice.name for voice in sounds.VOICES}
    assert set(rows["group"]) == set(rows["origin"]) <= names
    assert len(set(rows["group"])) > 3
    assert all(row["nko"] == bridge.to_nko(row["latin"], "v2_standard") for row in rows)
    assert len(set(rows["latin"])) == 40


def test_audio_is_mono_16_bit_and_as_long_as_the_row_says(built: Path) -> None:
    for row in _rows(built):
        with wave.open(str(built / "audio" / f"{row['feat_id']}.wav")) as stream:
            assert (stream.getnchannels(), stream.getsampwidth()) == (1, 2)
            assert stream.getframerate() == 16000
            assert stream.getnframes() / 16000 == pytest.approx(row["duration_s"], abs=1e-4)
        assert 1 < row["duration_s"] < 5


def test_soundfile_reads_what_was_said(built: Path) -> None:
    from thunder.lanes.asr.speech import synthesizer

    soundfile = pytest.importorskip("soundfile")
    row = _rows(built)[3]
    samples, rate = soundfile.read(built / "audio" / f"{row['feat_id']}.wav", dtype="float32")
    voice = next(voice for voice in sounds.VOICES if voice.name == row["voice"])
    said = synthesizer.say(row["latin"], voice)
    assert rate == synthesizer.RATE_HZ
    assert abs(samples - said).max() < 1e-4


def test_rows_and_manifest_keep_their_schemas(built: Path) -> None:
    for row in _rows(built):
        schema.check("pairs_row", row, "row")
    manifest = files.read_json(built / "manifest.json")
    schema.check("pairs_manifest", manifest, "manifest")
    assert manifest["stand_in"] is True
    assert manifest["bridge_version"] == "v2_standard"
    assert manifest["counts"]["rows"] == 40
    assert manifest["sha256"] == spoken.folder_digests(built)
    assert manifest["seconds"] == pytest.approx(sum(r["duration_s"] for r in _rows(built)))


def test_fewer_rows_are_the_first_of_more(built: Path) -> None:
    more = list(spoken.utterances(90, 0))
    assert [(u.feat_id, u.latin, u.voice.name) for u in more[:40]] == [
        (row["feat_id"], row["latin"], row["voice"]) for row in _rows(built)
    ]


def test_another_seed_says_something_else() -> None:
    one, other = ({u.latin for u in spoken.utterances(40, seed)} for seed in (0, 1))
    assert len(one & other) < 20


def test_what_is_built_already_is_kept(built: Path) -> None:
    before = (built / "pairs.jsonl").stat().st_mtime_ns
    assert spoken.build(RECIPE, built)["name"] == "spoken-40-0"
    assert (built / "pairs.jsonl").stat().st_mtime_ns == before


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    with pytest.raises(ThunderError, match=r"no manifest.json in it; remove the folder"):
        spoken.build(RECIPE, tmp_path / "mine")
    assert (tmp_path / "mine" / "file").read_text() == "x"


def test_a_build_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, of: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spoken.build(RECIPE, tmp_path / "data", stop)
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_after_each_utterance(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    spoken.build({**RECIPE, "rows": 5}, tmp_path / "d", lambda done, of: told.append((done, of)))
    assert told == [(i, 5) for i in range(1, 6)]


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match="no recipe 'sung' for speech; there is 'spoken'"):
        spoken.build({**RECIPE, "recipe": "sung"}, tmp_path / "d")


def test_the_builder_digest_is_of_the_rules_and_words_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = spoken.builder_digest(RECIPE)
    assert spoken.builder_digest({**RECIPE, "rows": 80, "seed": 3}) == one
    louder = (replace(sounds.VOICES[0], noise_db=3.0), *sounds.VOICES[1:])
    changes: list[tuple[Any, str, Any]] = [
        (sounds, "VOICES", louder), (sounds, "REVISION", 99), (spoken, "REVISION", 99),
        (spoken, "CHARS", (1, 2)), (spoken, "BRIDGE", "v1_compat"),
    ]  # fmt: skip
    digests = {one}
    for module, name, value in changes:
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            digests.add(spoken.builder_digest(RECIPE))
    assert len(digests) == 6


@pytest.mark.slow
def test_planning_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from thunder.lanes.asr.speech import spoken\n"
        f"spoken.builder_digest({RECIPE!r})\n"
        "heavy = ('numpy', 'torch', 'datasets', 'soundfile', 'pyarrow')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
