import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import running

from thunder.ground import files


def test_json_on_disk_is_readable_sorted_and_ends_with_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.json"
    files.write_json(path, {"ߞ": 1, "a": ["ߒߞߏ"]})
    assert path.read_text(encoding="utf-8") == '{\n  "a": [\n    "ߒߞߏ"\n  ],\n  "ߞ": 1\n}\n'
    assert files.read_json(path) == {"ߞ": 1, "a": ["ߒߞߏ"]}


def test_a_number_that_is_none_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    files.write_json(path, {"loss": 1.0})
    with pytest.raises(ValueError, match=r"nan|Out of range"):
        files.write_json(path, {"loss": float("nan")})
    assert files.read_json(path) == {"loss": 1.0}


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    files.append_jsonl(path, {"step": 1})
    files.append_jsonl(path, {"step": 2, "text": "ߒߞߏ\u2028"})
    with path.open("a") as stream:
        stream.write('{"step": 3, "lo')
    assert [row["step"] for row in files.read_jsonl(path)] == [1, 2]
    assert list(files.read_jsonl(tmp_path / "absent.jsonl")) == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.json"
    files.write_json(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_json(path, "new")
    assert files.read_json(path) == "old"
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_file_too_large_for_its_limit_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text("old")
    code = (
        "import resource, signal, sys; from pathlib import Path; from thunder.ground import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "files.write_bytes(Path(sys.argv[1]), b'x' * 100_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert "File too large" in done.stderr
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["run.json"]


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    code = (
        "import itertools, sys; from pathlib import Path; from thunder.ground import files\n"
        "for n in itertools.count():\n"
        "    files.write_json(Path(sys.argv[1]), [n] * 20_000)\n"
        "    print(n, flush=True)\n"
    )
    for delay in (0.0, 0.003, 0.007):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            threading.Event().wait(delay)
            writer.send_signal(signal.SIGKILL)
        rows = json.loads(path.read_text())
        assert len(rows) == 20_000
        assert len(set(rows)) == 1


def test_a_fresh_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    with files.fresh_folder(target) as folder:
        (folder / "config.json").write_text("{}")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["config.json"]
    assert os.listdir(target.parent) == ["model"]


def test_a_fresh_folder_that_fails_never_appears(tmp_path: Path) -> None:
    target = tmp_path / "model"

    def fail() -> None:
        with files.fresh_folder(target) as folder:
            (folder / "config.json").write_text("{}")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half"):
        fail()
    assert os.listdir(tmp_path) == []


def test_a_folder_that_another_process_made_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with files.fresh_folder(target) as folder:
        (folder / "mine").touch()
        target.mkdir()
        (target / "theirs").touch()
    assert os.listdir(target) == ["theirs"]
    assert os.listdir(tmp_path) == ["model"]


def test_several_files_appear_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {tmp_path / name: b"old" for name in ("a.json", "b.md", "c.csv")}
    files.write_all(old)
    synced: list[int] = []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_all(dict.fromkeys(old, b"new"))
    assert caught.value.filename == str(tmp_path / "b.md")
    assert {path: path.read_bytes() for path in old} == old
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b.md", "c.csv"]


def test_a_stream_that_finds_no_room_says_where(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    for write in (files.append_text, files.write_text):
        with running.no_file_above(10), pytest.raises(OSError, match="too large") as caught:
            write(path, "more than ten bytes")
        assert caught.value.filename == str(path)


def age(path: Path) -> None:
    os.utime(path, (1e9, 1e9))


def test_what_killed_processes_left_is_swept_and_what_is_owned_stays(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from thunder.ground import files\n"
        "with files.replacing(Path(sys.argv[1])) as stream, "
        "files.fresh_folder(Path(sys.argv[1] + '.d')) as folder:\n"
        "    (folder / 'part').touch()\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )

    def writer(name: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", code, str(tmp_path / name)]
        begun = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert begun.stdout is not None
        assert begun.stdout.readline() == b"ready\n"
        return begun

    dead, alive = writer("dead"), writer("alive")
    dead.kill()
    dead.communicate()
    for path in tmp_path.iterdir():
        age(path)
    (tmp_path / ".fresh.thunder-tmp").touch()  # its owner may not hold it yet
    for name in (".notes.tmp", ".backup.tmp/thesis"):  # of somebody else
        files.write_text(tmp_path / name, "")
        age(tmp_path / name)
    age(tmp_path / ".backup.tmp")
    files.write_text(tmp_path / "mine", "")
    left = sorted(path.name.split(".")[1] for path in tmp_path.glob(".*"))
    alive.communicate(b"")
    assert left == ["alive", "alive", "backup", "fresh", "notes"]
    foreign = {".notes.tmp", ".backup.tmp", ".fresh.thunder-tmp"}
    assert {path.name for path in tmp_path.iterdir()} == {"alive", "alive.d", "mine", *foreign}


def test_names_are_on_disk_after_a_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    sync = os.fsync

    def told(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("the names of open files are read from /proc")
    monkeypatch.setattr(os, "fsync", told)
    files.write_text(tmp_path / "a", "")
    assert synced[-1] == str(tmp_path)


def test_a_row_that_finds_no_room_says_where(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from thunder.ground import files\n"
        "from thunder.ground.errors import cause_of, message_of\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\n"
        "try:\n"
        "    files.append_jsonl(Path(sys.argv[1]), {'text': 'x' * 100})\n"
        "except OSError as error:\n"
        "    print(cause_of(error), message_of(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"write {path}: File too large\n"
