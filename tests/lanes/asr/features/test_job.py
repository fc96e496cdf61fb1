"""The job asr_features from end to end: shards, rejected rows, kills, and what it tells."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from adapter_fixtures import is_alive, wait_for
from asr_fixtures import RATE, features_config, write_pairs, write_speech
from running import environment

from thunder.ground import digest, files
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.asr.data import pairs
from thunder.lanes.asr.data.folder import data_folder
from thunder.lanes.asr.features import job, log_mel, pool, publish, shards, store, verdicts
from thunder.lanes.asr.kind import KINDS


@pytest.fixture(autouse=True)
def small_shards(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "slow" not in request.keywords:
        monkeypatch.setattr(shards, "ROWS", 32)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_speech(tmp_path / "data", [0.1 + 0.01 * (row % 20) for row in range(100)])
    return tmp_path / "data"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def _run(data: Path, folder: Path, **changes: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []
    result = job.run(features_config(data, folder, **changes), folder, told.append)
    return result, told


def _content(folder: Path) -> dict[str, str]:
    names = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest.of_file(path) for path in names}


def test_all_rows_become_the_frames_of_their_audio(data: Path, run_folder: Path) -> None:
    result, _ = _run(data, run_folder)
    opened = store.open_store(run_folder)
    assert list(opened.ids) == [f"u_{row:06d}" for row in range(100)]
    for row in (0, 31, 32, 99):
        samples, _ = soundfile.read(data / "audio" / f"u_{row:06d}.wav", dtype="float32")
        assert np.array_equal(opened.frames(row), log_mel.frames(samples, 80).astype(np.float16))
        assert opened.durations[row] == pytest.approx(len(samples) / RATE)
    rows = pairs.load(data, features_config(data, run_folder)["data"])
    assert result["step"] is None
    assert result["inputs"] == {"data": pairs.snapshot(rows), "features": opened.digest}
    metrics = result["metrics"]
    assert set(metrics) == {*KINDS["asr_features"].metrics}
    assert metrics["rows"] == 100
    assert metrics["frames"] == int(opened.lengths.sum())
    assert metrics["bytes"] == sum(p.stat().st_size for p in run_folder.glob("shards/*.f16"))
    assert metrics["hours"] == pytest.approx(float(opened.durations.sum()) / 3600, abs=1e-4)
    assert (metrics["rejected"], metrics["cut"]) == (0, 0)
    assert metrics["utterances_per_second"] > 0


def test_the_manifest_says_how_the_frames_were_made(data: Path, run_folder: Path) -> None:
    result, _ = _run(data, run_folder)
    manifest = files.read_json(run_folder / "features_manifest.json")
    assert manifest["snapshot_sha256"] == result["inputs"]["data"]
    assert manifest["encoder"] == {"name": "log_mel_80", "digest": log_mel.encoder_digest(80)}
    assert manifest["versions"]["torch"] == str(torch.__version__)
    assert manifest["versions"]["soundfile"] == soundfile.__version__
    assert [shard["rows"] for shard in manifest["shards"]] == [32, 32, 32, 4]
    assert manifest["audio"]["limit_seconds"] == 30.0


def test_the_screen_is_told_how_far_it_is(data: Path, run_folder: Path) -> None:
    _, told = _run(data, run_folder)
    steps = [event for event in told if event["event"] == "step"]
    assert steps[-1]["step"] == steps[-1]["of"] == 100
    assert steps[-1]["unit"] == "utterances"
    assert steps[-1]["loss"] is None
    assert steps[-1]["per_second"] > 0


def test_the_same_data_gives_the_same_bytes(data: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        _run(data, tmp_path / name)
    assert _content(tmp_path / "one") == _content(tmp_path / "two")


def test_long_audio_is_cut_and_counted(data: Path, run_folder: Path) -> None:
    result, told = _run(data, run_folder, seconds=0.2)
    opened = store.open_store(run_folder)
    assert int(opened.lengths.max()) == 10
    assert float(opened.durations.max()) == pytest.approx(0.29)
    assert result["metrics"]["cut"] == 45
    assert {"event": "warning", "text": "45 utterances longer than 0.2 s, cut"} in told


def test_rows_without_usable_audio_are_named_and_counted(data: Path, run_folder: Path) -> None:
    (data / "audio" / "u_000007.wav").unlink()
    (data / "audio" / "u_000050.wav").write_bytes(b"")
    soundfile.write(data / "audio" / "u_000099.wav", np.zeros(800, np.float32), RATE)
    result, told = _run(data, run_folder, most_corrupt=0.03)
    assert list(files.read_jsonl(run_folder / "rejected.jsonl")) == [
        {
            "feat_id": "u_000007",
            "line": 8,
            "reason": "no audio/u_000007.wav, .flac, .ogg or .mp3",
        },
        {"feat_id": "u_000050", "line": 51, "reason": "an empty file"},
        {"feat_id": "u_000099", "line": 100, "reason": "silent: every sample is 0"},
    ]
    opened = store.open_store(run_folder)
    assert len(opened.ids) == result["metrics"]["rows"] == 97
    assert "u_000050" not in opened.index
    assert result["metrics"]["rejected"] == 3
    warned = [event["text"] for event in told if event["event"] == "warning"]
    assert warned == [f"3 utterances without frames, listed in {run_folder / 'rejected.jsonl'}"]


def test_too_many_rejected_rows_end_the_job_at_once(data: Path, run_folder: Path) -> None:
    for row in range(40, 80):
        (data / "audio" / f"u_{row:06d}.wav").write_bytes(b"")
    with pytest.raises(Faults, match="24 of the first 64 rows have no usable audio") as caught:
        _run(data, run_folder)
    assert caught.value.cause == "data"
    assert "of all 100 rows 1 may have none (features.most_corrupt)" in str(caught.value)
    assert str(run_folder / "rejected.jsonl") in str(caught.value)
    assert caught.value.faults[0] == "u_000040 (line 41): an empty file"
    assert caught.value.faults[-1] == "… and 4 more"
    assert len(list(files.read_jsonl(run_folder / "rejected.jsonl"))) == 24
    assert not (run_folder / "features_manifest.json").exists()


def test_rejected_rows_are_looked_at_again_when_the_disk_is_back(
    data: Path, run_folder: Path
) -> None:
    (data / "audio").rename(data / "away")
    with pytest.raises(Faults, match="32 of the first 32 rows"):
        _run(data, run_folder)
    (data / "away").rename(data / "audio")
    result, _ = _run(data, run_folder)
    assert result["metrics"]["rows"] == 100


def test_a_data_set_without_any_audio_has_no_store(data: Path, run_folder: Path) -> None:
    (data / "audio").rename(data / "away")
    with pytest.raises(Faults, match="100 of the first 100 rows"):
        _run(data, run_folder, most_corrupt=1.0)


def test_another_attempt_goes_on_with_the_next_shard(
    data: Path, tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    _run(data, whole)

    write = shards.Writer.__exit__

    def stop_in_the_third(self: Any, *error: Any) -> None:
        write(self, *error)
        if shards.part_path(run_folder, 1).exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shards.Writer, "__exit__", stop_in_the_third)
        with pytest.raises(KeyboardInterrupt):
            _run(data, run_folder)
    before = (run_folder / "shards" / "00001.f16").stat().st_mtime_ns
    _, told = _run(data, run_folder)
    text = "going on after 64 of 100 utterances, which are there"
    assert {"event": "note", "text": text} in told
    assert (run_folder / "shards" / "00001.f16").stat().st_mtime_ns == before
    assert _content(run_folder) == _content(whole)


def _killed(*_: Any) -> None:
    raise KeyboardInterrupt


def test_too_many_rejected_rows_are_seen_by_the_attempt_after_a_kill_as_well(
    data: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "audio" / "u_000099.wav").write_bytes(b"")
    (data / "audio" / "u_000098.wav").write_bytes(b"")
    with monkeypatch.context() as patch:
        patch.setattr(verdicts, "check_rejected", lambda *_: None)
        patch.setattr(publish, "publish", _killed)
        with pytest.raises(KeyboardInterrupt):
            _run(data, run_folder)
    with pytest.raises(Faults, match="2 of the first 100 rows have no usable audio"):
        _run(data, run_folder)


def test_shards_of_other_versions_are_made_again(
    data: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def old() -> dict[str, str]:
        return {"torch": "1.0"}

    with monkeypatch.context() as patch:
        patch.setattr(log_mel, "versions", old)
        patch.setattr(publish, "publish", _killed)
        with pytest.raises(KeyboardInterrupt):
            _run(data, run_folder)
    result, told = _run(data, run_folder)
    assert files.read_json(run_folder / "features_manifest.json")["versions"] != old()
    assert result["metrics"]["utterances_per_second"] > 0
    (text,) = [event["text"] for event in told if event["event"] == "warning"]
    assert text.startswith("shard 0 was torn, or made by other libraries")


def test_a_finished_store_is_kept(data: Path, run_folder: Path) -> None:
    first, _ = _run(data, run_folder)
    before = _content(run_folder)
    (run_folder / "shards" / "00000.json").write_text("left by a kill just before the end")
    second, _ = _run(data, run_folder)
    assert second["metrics"]["utterances_per_second"] is None
    assert second["inputs"] == first["inputs"]
    assert _content(run_folder) == before


def test_a_full_disk_keeps_the_shards_that_are_whole(
    data: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = shards.Writer.add

    def full(self: Any, feat_id: str, *rest: Any, **more: Any) -> None:
        if feat_id == "u_000070":
            raise OSError(28, "No space left on device")
        add(self, feat_id, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(shards.Writer, "add", full)
        with pytest.raises(OSError, match="No space left"):
            _run(data, run_folder)
    names = sorted(path.name for path in (run_folder / "shards").iterdir())
    assert names == ["00000.f16", "00000.json", "00001.f16", "00001.json"]
    assert _run(data, run_folder)[0]["metrics"]["rows"] == 100


def test_a_disk_that_looks_too_small_is_told_after_the_first_shard(
    data: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 0}))
    _, told = _run(data, run_folder)
    (text,) = [event["text"] for event in told if event["event"] == "warning"]
    assert "GB more, 0.0 GB are free" in text


def test_stored_features_are_read_and_mixed_ones_refused(tmp_path: Path, run_folder: Path) -> None:
    data = tmp_path / "data"
    (data / "features").mkdir(parents=True)
    ids = [f"u_{row:06d}" for row in range(40)]
    for row, name in enumerate(ids):
        torch.save(torch.full((375, 6), float(row)), data / "features" / f"{name}.pt")
    write_pairs(data, ids, duration_s=[2.0] * 40)
    source = {"stored": "whisper_12p5hz_375"}
    _run(data, run_folder, source=source)
    opened = store.open_store(run_folder)
    assert (opened.layout, opened.dims) == ("whisper_12p5hz", 6)
    assert opened.frames(33).shape == (25, 6)
    assert (opened.frames(33) == 33).all()

    for row in (3, 5):
        torch.save(torch.zeros(1500, 6), data / "features" / f"{ids[row]}.pt")
    (tmp_path / "other").mkdir()
    with pytest.raises(Faults, match="features of 2 utterances are not 6 wide in layout") as caught:
        _run(data, tmp_path / "other", source=source)
    fits = "1500 frames, whisper_12p5hz_375 has 375 at most; it fits whisper_50hz_1500"
    assert caught.value.faults == [f"u_000003 (line 4): {fits}", f"u_000005 (line 6): {fits}"]
    assert caught.value.cause == "data"


def test_stored_features_of_unknown_length_are_counted(tmp_path: Path, run_folder: Path) -> None:
    data = tmp_path / "data"
    (data / "features").mkdir(parents=True)
    torch.save(torch.zeros(375, 6), data / "features" / "a.pt")
    write_pairs(data, ["a"])
    _, told = _run(data, run_folder, source={"stored": "whisper_12p5hz_375"})
    assert store.open_store(run_folder).manifest["padded"] == 1
    (text,) = [event["text"] for event in told if event["event"] == "warning"]
    assert text.startswith("1 utterances of unknown length (no duration_s)")


def test_a_whisper_that_is_not_on_this_machine_is_said(data: Path, run_folder: Path) -> None:
    with pytest.raises(ThunderError, match=r"features\.source: no folder") as caught:
        _run(data, run_folder, source={"digest": "a" * 64})
    assert caught.value.cause == "environment"


def test_a_stand_in_is_built_once_and_its_place_follows_from_its_recipe(tmp_path: Path) -> None:
    config = features_config(tmp_path / "nowhere", tmp_path / "outputs")
    config["data"]["source"] = {"recipe": "spoken", "rows": 20, "seed": 0, "builder": "0" * 64}
    told: list[dict[str, Any]] = []
    folder = data_folder(config, told.append)
    name = f"speech-{digest.of_value(config['data']['source'])[:12]}"
    assert folder == tmp_path / "outputs" / "cache" / name
    assert told[0]["event"] == "phase"
    assert told[-1]["step"] == told[-1]["of"] == 20
    assert data_folder(config, told.append) == folder
    assert told[-1]["step"] == 20
    (tmp_path / "run").mkdir()
    assert job.run(config, tmp_path / "run", told.append)["metrics"]["rows"] == 20


def test_a_limit_beyond_the_window_of_stored_features_is_refused(
    tmp_path: Path, run_folder: Path
) -> None:
    data = tmp_path / "data"
    (data / "features").mkdir(parents=True)
    torch.save(torch.zeros(375, 6), data / "features" / "a.pt")
    write_pairs(data, ["a"])
    with pytest.raises(ThunderError, match=r"seconds is 60, and whisper_12p5hz_375 has 30 s"):
        _run(data, run_folder, source={"stored": "whisper_12p5hz_375"}, seconds=60)


def _sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_results_come_in_the_order_of_the_tasks() -> None:
    beats: list[int] = []
    with pool.threads(3) as executor:
        results = pool.ordered(
            executor, _sleep, [0.05, 0.0, 0.02, 0.01], ahead=3, beat=lambda: beats.append(1),
            stall_seconds=5,
        )  # fmt: skip
        assert list(results) == [0.05, 0.0, 0.02, 0.01]


def test_no_more_tasks_are_taken_than_may_be_ahead() -> None:
    taken: list[int] = []

    def tasks() -> Any:
        for number in range(100):
            taken.append(number)
            yield 0.0

    with pool.threads(1) as executor:
        results = pool.ordered(
            executor, _sleep, tasks(), ahead=4, beat=lambda: None, stall_seconds=5
        )
        next(results)
        assert len(taken) == 4
        results.close()  # type: ignore[attr-defined]


def test_a_task_that_hangs_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "LOOK_SECONDS", 0.02)
    beats: list[int] = []
    with (
        pytest.raises(ThunderError, match=r"nothing came of a task for 0\.1 s") as caught,
        pool.threads(1) as executor,
    ):
        list(
            pool.ordered(
                executor, _sleep, [1.0], ahead=1, beat=lambda: beats.append(1), stall_seconds=0.1
            )
        )
    assert caught.value.cause == "environment"
    assert len(beats) >= 3


def _die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.slow
def test_a_process_that_is_killed_is_said_in_words() -> None:
    with (
        pytest.raises(ThunderError, match="a process that reads audio was killed"),
        pool.processes(1) as executor,
    ):
        list(pool.ordered(executor, _die, [1, 2, 3], ahead=2, beat=lambda: None, stall_seconds=60))


def _children(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, above in rows if int(above) == parent]


@pytest.mark.slow
def test_after_kill_9_no_process_is_left_and_the_next_attempt_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, killed, whole = (tmp_path / name for name in ("data", "killed", "whole"))
    write_speech(data, [0.1 + 0.01 * (row % 30) for row in range(60)])
    rows = [f"u_{row:06d}" for row in range(2300)]
    for row, name in enumerate(rows[60:]):
        os.link(data / "audio" / f"{rows[row % 60]}.wav", data / "audio" / f"{name}.wav")
    (data / "audio" / f"{rows[1500]}.wav").unlink()
    write_pairs(data, rows)
    request = tmp_path / "request.json"
    files.write_json(request, features_config(data, killed))

    command = [sys.executable, __file__, str(request), str(killed)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL) as process:
        assert wait_for(lambda: shards.part_path(killed, 0).exists(), 60)
        workers = _children(process.pid)
        process.kill()
    assert workers
    assert wait_for(lambda: not any(is_alive(pid) for pid in workers), 10)
    assert not (killed / "features_manifest.json").exists()

    # In one thread: who computes a row, and in which attempt, does not show.
    monkeypatch.setattr(job, "ROWS_OF_A_PROCESS", 10_000)
    _, told = _run(data, killed)
    assert [event["text"][:14] for event in told if event["event"] == "note"] == ["going on after"]
    whole.mkdir()
    _run(data, whole)
    assert _content(killed) == _content(whole)
    assert len(store.open_store(whole).ids) == 2299


def _main() -> None:
    request, folder = map(Path, sys.argv[1:])
    folder.mkdir()
    job.run(files.read_json(request), folder, lambda event: None)


if __name__ == "__main__":
    _main()
