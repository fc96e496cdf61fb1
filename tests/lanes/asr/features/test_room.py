"""The disk that a feature store takes is known before, where the rows say how long they are."""

from pathlib import Path
from typing import Any

from asr_fixtures import features_config, write_pairs, write_speech

from thunder.lanes.asr.features import job, room

SECONDS = [1.0, 2.5, 0.73]


def config(tmp_path: Path, durations: list[Any], **changes: Any) -> dict[str, Any]:
    data = tmp_path / "data"
    ids = write_speech(data, SECONDS)
    write_pairs(data, ids, duration_s=durations)
    return features_config(data, tmp_path / "outputs", **changes)


def test_a_store_takes_what_was_said_before(tmp_path: Path) -> None:
    asked = config(tmp_path, SECONDS, seconds=2)
    (tmp_path / "run").mkdir()
    made = job.run(asked, tmp_path / "run", lambda event: None)
    assert room.of(asked).disk == made["metrics"]["bytes"] > 0
    assert room.of(asked).memory is None


def test_what_cannot_be_known_before_is_none_with_the_reason(tmp_path: Path) -> None:
    silent = room.of(config(tmp_path, [1.0, None, 2.0]))
    assert (silent.disk, silent.unknown["disk"]) == (
        None, "1 of 3 rows do not say how long they are (duration_s)",
    )  # fmt: skip
    unbuilt = features_config(tmp_path, tmp_path)
    del unbuilt["runtime"]["paths"]["data"]
    assert "its data set is a stand-in" in room.of(unbuilt).unknown["disk"]
    stored = features_config(tmp_path, tmp_path, source={"stored": "whisper_50hz_1500"})
    assert room.of(stored).disk is None


def test_an_encoder_says_how_wide_its_frames_are(tmp_path: Path) -> None:
    asked = config(tmp_path, SECONDS, source={"folder": "whisper"})
    asked["runtime"]["paths"]["features"] = str(tmp_path)
    assert room.of(asked).disk is None
    (tmp_path / "config.json").write_text('{"d_model": 8}')
    assert room.of(asked).disk == (50 + 125 + 37) * 8 * 2
