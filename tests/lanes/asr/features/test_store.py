"""The folder of frames: what was written comes back, and what was changed is not opened."""

import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import running
from asr_fixtures import making, write_store

from thunder.ground import digest, files
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.asr.features import publish, shards, store


def _frames(rows: int, dims: int = 4) -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(0)
    return {
        f"u_{row:06d}": drawn.standard_normal((1 + row % 7, dims)).astype(np.float16)
        for row in range(rows)
    }


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "ROWS", 8)


@pytest.fixture
def folder(tmp_path: Path, small_shards: None) -> Path:
    write_store(tmp_path / "run", _frames(30))
    return tmp_path / "run"


def test_frames_come_back_as_they_were_written(folder: Path) -> None:
    written, opened = _frames(30), store.open_store(folder)
    assert list(opened.ids) == sorted(written)
    assert opened.lengths.dtype == np.int32
    assert opened.durations.dtype == np.float32
    assert (opened.layout, opened.dims, opened.rate_hz) == ("log_mel_50hz", 4, 50.0)
    for name, frames in written.items():
        row = opened.index[name]
        stored = opened.frames(row)
        assert stored.dtype == np.float16
        assert np.array_equal(stored, frames)
        assert opened.lengths[row] == len(frames)
        assert opened.durations[row] == pytest.approx(len(frames) / 50)


def test_the_folder_holds_what_the_contract_names(folder: Path) -> None:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    assert names == [
        "features_manifest.json", "index.jsonl", "rejected.jsonl",
        "shards/00000.f16", "shards/00001.f16", "shards/00002.f16", "shards/00003.f16",
    ]  # fmt: skip
    manifest = files.read_json(folder / "features_manifest.json")
    for shard in manifest["shards"]:
        assert digest.of_file(folder / "shards" / shard["name"]) == shard["sha256"]
    assert len(manifest["fingerprint"]) == 16
    assert manifest["fingerprint"][0]["feat_id"] == "u_000000"
    assert manifest["fingerprint"][-1]["feat_id"] == "u_000029"
    assert store.open_store(folder).digest == digest.of_value(manifest)


def test_frames_of_an_open_store_cannot_be_changed(folder: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        store.open_store(folder).frames(0)[0, 0] = 1


def test_few_shards_are_open_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_OPEN", 2)
    opened, written = store.open_store(folder), _frames(30)
    for _ in range(2):
        for name, frames in written.items():
            assert np.array_equal(opened.frames(opened.index[name]), frames)
    assert len(opened._open) == 2


def test_a_changed_byte_in_a_looked_at_row_is_refused_by_name(folder: Path) -> None:
    path = folder / "shards" / "00003.f16"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(Faults, match=r"shards/00003.f16: frames of 'u_000029' differ"):
        store.open_store(folder)


def test_shards_of_another_store_are_refused(folder: Path, tmp_path: Path) -> None:
    write_store(tmp_path / "other", {n: frames + 1 for n, frames in _frames(30).items()})
    shutil.copy(tmp_path / "other" / "shards" / "00001.f16", folder / "shards" / "00001.f16")
    with pytest.raises(Faults, match=r"shards/00001.f16: frames of 'u_0000.*' differ"):
        store.open_store(folder)


def test_every_missing_and_torn_shard_is_named(folder: Path) -> None:
    (folder / "shards" / "00000.f16").unlink()
    path = folder / "shards" / "00002.f16"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(Faults) as caught:
        store.open_store(folder)
    assert [fault.partition(" bytes")[0] for fault in caught.value.faults] == [
        "shards/00000.f16: missing",
        f"shards/00002.f16: {path.stat().st_size}",
    ]
    assert caught.value.cause == "data"


def test_an_index_of_another_store_is_refused(folder: Path) -> None:
    path = folder / "index.jsonl"
    path.write_text(path.read_text().replace('"u_000003"', '"u_000004"', 1))
    with pytest.raises(ThunderError, match=r"index.jsonl: missing, or not the index"):
        store.open_store(folder)


def test_an_index_that_is_nested_too_deep_is_refused(folder: Path) -> None:
    (folder / "index.jsonl").write_text("[" * 100_000)
    manifest = files.read_json(folder / "features_manifest.json")
    manifest["index_sha256"] = digest.of_file(folder / "index.jsonl")
    files.write_json(folder / "features_manifest.json", manifest)
    with pytest.raises(ThunderError, match=r"index.jsonl: not JSON: nested too deep"):
        store.open_store(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "whisper_12p5hz"}, "has 12.5 frames a second, the manifest says 50"),
        ({"layout": "whisper"}, r"layout: 'whisper' is not allowed"),
        ({"more": 1}, "more: not a key here"),
    ],
)
def test_a_manifest_that_was_edited_is_refused(folder: Path, change: dict, message: str) -> None:  # type: ignore[type-arg]
    path = folder / "features_manifest.json"
    files.write_json(path, {**files.read_json(path), **change})
    with pytest.raises(ThunderError, match=message):
        store.open_store(folder)


def test_an_unfinished_store_is_refused(tmp_path: Path) -> None:
    with shards.Writer(tmp_path, 0, making()) as writer:
        writer.add("a", np.ones((3, 4)), 0.06)
    with pytest.raises(ThunderError, match="not the folder of a finished asr_features run"):
        store.open_store(tmp_path)


def _write_and_fail(folder: Path) -> None:
    with shards.Writer(folder, 0, making()) as writer:
        writer.add("a", np.ones((3, 4)), 0.06)
        raise RuntimeError("on the way")


def test_a_shard_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="on the way"):
        _write_and_fail(tmp_path)
    assert list((tmp_path / "shards").iterdir()) == []


def test_parts_end_where_a_shard_is_missing_torn_or_made_otherwise(tmp_path: Path) -> None:
    def count(made_from: shards.Making) -> int:
        return len(list(shards.parts(tmp_path, made_from)))

    for number in range(3):
        with shards.Writer(tmp_path, number, making()) as writer:
            writer.add(f"u{number}", np.ones((3, 4)), 0.06)
    assert count(making()) == 3
    for change in ({"versions": {"torch": "1"}}, {"source": "4" * 64}, {"limit_seconds": 5.0}):
        assert count(making(**change)) == 0
    path = tmp_path / "shards" / "00001.f16"
    path.write_bytes(path.read_bytes()[:-1])
    assert count(making()) == 1
    shards.part_path(tmp_path, 0).write_text('{"made_')
    assert count(making()) == 0


def test_a_shard_of_rejected_rows_alone_is_empty(tmp_path: Path, small_shards: None) -> None:
    with shards.Writer(tmp_path, 0, making()) as writer:
        writer.reject("a", 1, "no audio")
    with shards.Writer(tmp_path, 1, making()) as writer:
        writer.add("b", np.ones((3, 4)), 0.06)
    publish.publish(tmp_path, making(), 2, lambda: None)
    opened = store.open_store(tmp_path)
    assert list(opened.ids) == ["b"]
    assert opened.frames(0).shape == (3, 4)
    assert opened.manifest["rejected"] == 1


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [0]), (3, [0, 1, 2]), (16, list(range(16))), (31, None)]
)
def test_rows_that_are_looked_at_are_spread_evenly(count: int, expected: list[int] | None) -> None:
    places = store.spaced(count, 16)
    assert places == (expected or list(range(0, 31, 2)))


def test_memory_does_not_grow_with_the_shards(tmp_path: Path) -> None:
    peaks = []
    for count in (4, 16):
        folder = tmp_path / str(count)
        for number in range(count):
            with shards.Writer(folder, number, making()) as writer:
                for row in range(256):
                    writer.add(f"u_{number:03d}_{row:04d}", np.ones((2, 4), np.float16), 0.04)
        tracemalloc.start()
        publish.publish(folder, making(), count, lambda: None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_a_shard_that_finds_no_room_says_where(tmp_path: Path) -> None:
    frames = np.zeros((4_000, 4), np.float32)
    with (
        running.no_file_above(1_000),
        pytest.raises(OSError, match="too large") as caught,
        shards.Writer(tmp_path, 0, making()) as writer,
    ):
        writer.add("a", frames, 1.0)
    assert str(caught.value.filename).startswith(f"{tmp_path / shards.FOLDER}/")
    assert [*(tmp_path / shards.FOLDER).iterdir()] == []
