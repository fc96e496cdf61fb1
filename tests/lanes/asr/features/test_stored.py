"""Features of others: the two layouts are never taken for each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thunder.ground.errors import ThunderError
from thunder.lanes.asr.features import stored
from thunder.lanes.asr.features.rows import Framed, Misfit, Outcome, Rejected, Row

A, B = "whisper_50hz_1500", "whisper_12p5hz_375"


def _save(folder: Path, name: str, value: Any) -> Path:
    path = folder / "features" / f"{name}.pt"
    path.parent.mkdir(exist_ok=True)
    torch.save(value, path)
    return path


def _numbered(frames: int, dims: int = 6) -> Any:
    return torch.arange(frames, dtype=torch.float32)[:, None].repeat(1, dims).half()


def _read(
    folder: Path, source: str, duration_s: float | None, seconds: float = 30.0, name: str = "a"
) -> Outcome:
    (outcome,) = stored.extractor(folder, source, 6, seconds)([Row(name, 7, None, duration_s)])
    return outcome


@pytest.mark.parametrize(
    ("source", "frames", "duration_s", "kept"),
    [
        (A, 1500, 3.01, 151),
        (A, 1500, 40.0, 1500),
        (A, 1500, None, 1500),
        (A, 151, 3.01, 151),
        (A, 152, 3.01, 151),
        (A, 150, 3.01, 150),
        (B, 375, 3.01, 38),
        (B, 375, 40.0, 375),
        (B, 375, None, 375),
        (B, 38, 3.01, 38),
    ],
)
def test_frames_are_trimmed_to_the_true_length(
    tmp_path: Path, source: str, frames: int, duration_s: float | None, kept: int
) -> None:
    _save(tmp_path, "a", _numbered(frames))
    outcome = _read(tmp_path, source, duration_s)
    assert isinstance(outcome, Framed)
    assert np.array_equal(outcome.frames, _numbered(kept).numpy())
    assert outcome.is_padded == (duration_s is None)
    assert outcome.is_cut == (duration_s == 40.0)
    assert outcome.duration_s == (30.0 if duration_s is None else duration_s)


def test_the_longest_utterance_cuts_stored_frames_too(tmp_path: Path) -> None:
    _save(tmp_path, "a", _numbered(1500))
    outcome = _read(tmp_path, A, 12.0, seconds=2.0)
    assert isinstance(outcome, Framed)
    assert len(outcome.frames) == 100
    assert outcome.is_cut


@pytest.mark.parametrize(
    ("source", "frames", "duration_s", "reason"),
    [
        # The incident: one layout read as the other, whole or trimmed, with or without lengths.
        (A, 375, 3.0, f"375 frames for 3 s, {A} has 150 trimmed or 1500 untrimmed; it fits {B}"),
        (A, 375, None, f"375 frames without a duration_s.* {A} has 1500 untrimmed; it fits {B}"),
        (A, 38, 3.0, f"38 frames for 3 s, {A} has 150 trimmed or 1500 untrimmed; it fits {B}"),
        (B, 1500, 3.0, f"1500 frames, {B} has 375 at most; it fits {A}"),
        (B, 1500, None, f"1500 frames, {B} has 375 at most; it fits {A}"),
        (B, 150, 3.0, f"150 frames for 3 s, {B} has 38 trimmed or 375 untrimmed; it fits {A}"),
        (B, 150, None, f"150 frames without a duration_s.* {B} has 375 untrimmed$"),
        (A, 700, 3.0, f"700 frames for 3 s, {A} has 150 trimmed or 1500 untrimmed$"),
        (A, 3000, 3.0, f"3000 frames, {A} has 1500 at most$"),
    ],
)
def test_one_layout_is_never_taken_for_the_other(
    tmp_path: Path, source: str, frames: int, duration_s: float | None, reason: str
) -> None:
    _save(tmp_path, "a", _numbered(frames))
    outcome = _read(tmp_path, source, duration_s)
    assert isinstance(outcome, Misfit)
    with pytest.raises(ThunderError, match=reason):
        raise ThunderError(outcome.reason)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((1500, 8), "8 dims, the first row has 6"),
        ((1, 1500, 6), r"shape (1, 1500, 6), not (frames, 6)"),
        ((0, 6), r"shape (0, 6), not (frames, 6)"),
        ((1500,), r"shape (1500,), not (frames, 6)"),
    ],
)
def test_another_shape_is_a_misfit(tmp_path: Path, shape: tuple[int, ...], reason: str) -> None:
    _save(tmp_path, "a", torch.zeros(shape))
    assert _read(tmp_path, A, 3.0) == Misfit(Row("a", 7, None, 3.0), reason)


def _nan() -> Any:
    frames = _numbered(1500).float()
    frames[3, 2] = float("nan")
    return frames


def _too_large() -> Any:
    frames = _numbered(1500).float()
    frames[4] = 1e6
    return frames


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (_nan(), "features that are not finite in float16, in 1 frames"),
        (_too_large(), "features that are not finite in float16, in 1 frames"),
        (torch.zeros((1500, 6), dtype=torch.int64), "features/a.pt holds torch.int64, not a"),
        ({"features": torch.zeros(2, 6)}, "features/a.pt holds dict, not a tensor of floats"),
    ],
)
def test_values_that_are_no_features_are_rejected(tmp_path: Path, value: Any, reason: str) -> None:
    _save(tmp_path, "a", value)
    outcome = _read(tmp_path, A, 30.0)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith(reason)


def test_a_missing_file_and_a_strange_name_are_rejected(tmp_path: Path) -> None:
    _save(tmp_path, "a", _numbered(1500))
    assert _read(tmp_path, A, 3.0, name="b") == Rejected(Row("b", 7, None, 3.0), "no features/b.pt")
    for name in ("../features/a", ".a"):
        outcome = _read(tmp_path, A, 3.0, name=name)
        assert isinstance(outcome, Rejected)
        assert "is not the name of a visible file" in outcome.reason


class _Code:
    def __reduce__(self) -> Any:
        return print, ("code of a stranger",)


def test_code_in_a_file_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _save(tmp_path, "a", _Code())
    assert isinstance(_read(tmp_path, A, 3.0), Rejected)
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("is_zip", [True, False])
def test_any_torn_or_flipped_file_is_rejected_or_read(tmp_path: Path, is_zip: bool) -> None:
    path = _save(tmp_path, "a", _numbered(38))
    torch.save(_numbered(38), path, _use_new_zipfile_serialization=is_zip)
    whole, drawn = path.read_bytes(), np.random.default_rng(0)
    for size in range(0, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:size])
        outcome = _read(tmp_path, B, 3.0)
        assert not isinstance(outcome, Misfit)
    for place in drawn.integers(0, len(whole), 150):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        assert _read(tmp_path, B, 3.0)


def test_the_width_is_that_of_the_first_readable_file(tmp_path: Path) -> None:
    _save(tmp_path, "b", torch.zeros(375, 6))
    _save(tmp_path, "c", torch.zeros(375, 8))
    rows = [Row(name, 1, None, 3.0) for name in "abc"]
    assert stored.width(tmp_path, iter(rows)) == 6
    with pytest.raises(ThunderError, match=r"none of the first 1 rows has readable features"):
        stored.width(tmp_path, iter(rows[:1]))


def test_a_source_is_held_to_its_data(tmp_path: Path) -> None:
    one = stored.encoder_digest(A, {"digest": "0" * 64})
    assert one != stored.encoder_digest(B, {"digest": "0" * 64})
    assert one != stored.encoder_digest(A, {"digest": "1" * 64})
    with pytest.raises(ThunderError, match=f"'whisper' is not one of {A}, {B}"):
        stored.layout_of("whisper")
