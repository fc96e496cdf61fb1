"""Whose a run is: one owner, who writes nothing once the place is another's."""

import errno
import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import running

from thunder.commands import tasks
from thunder.ground.errors import ThunderError
from thunder.runs import lock


def remove(folder: Path) -> None:
    shutil.rmtree(folder)


def move(folder: Path) -> None:
    folder.rename(folder.parent.parent / "away")


def replace(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


def unlock(folder: Path) -> None:
    (folder / ".lock").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [remove, move, replace, unlock])
def test_a_run_whose_place_is_taken_away_fails_by_name_and_bars_nothing(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    outputs = tmp_path / "outputs"
    words = ["+profile=dry", f"outputs={outputs}"]
    with running.begin(*words, lane="gated") as runner:
        running.wait_for(lambda: [*outputs.glob("dry/*/began")], "the run begins")
        folder = running.only_run(outputs).folder
        spoil(folder)
        (outputs / "go").touch()
        code, out, err = running.ended(runner)
    assert (code, err) == (1, "")
    assert f"{folder}: the folder or its .lock was moved or removed" in out
    assert not (folder / "manifest.json").exists()
    if folder.exists():
        folder.rename(tmp_path / "left")
    assert running.thunder(*words, lane="gated").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [remove, move, replace, unlock])
def test_what_works_on_a_run_writes_nothing_more_when_its_place_is_taken_away(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    outputs = tmp_path / "outputs"
    words = ["+profile=dry", f"outputs={outputs}"]
    with running.begin(*words, lane="writes_on") as runner:
        running.wait_for(lambda: [*outputs.glob("dry/*/began")], "the run begins")
        folder = running.only_run(outputs).folder
        spoil(folder)
        before = running.names_in(folder) if folder.exists() else None
        (outputs / "go").touch()
        assert running.ended(runner)[0] == 1
    after = running.names_in(folder) if folder.exists() else None
    assert after == before
    assert not [*outputs.rglob("report.json")]


@pytest.mark.slow
def test_a_run_whose_place_was_taken_away_is_not_tried_again(tmp_path: Path) -> None:
    words = ["+profile=dry", f"outputs={tmp_path}", "retries=2"]
    done = running.thunder(*words, lane="leaves_its_place")
    assert done.returncode == 1
    assert "was moved or removed while the run went on" in done.stdout
    assert "retry" not in done.stdout
    assert [*(tmp_path / "dry").iterdir()] == []


def test_a_lock_removed_by_hand_is_seen_before_anything_is_recorded(tmp_path: Path) -> None:
    with lock.owned(tmp_path / "run") as held:
        held.check()
        (tmp_path / "run" / ".lock").unlink()
        with pytest.raises(lock.Moved, match="was moved or removed while the run went on"):
            held.check()
        with lock.owned(tmp_path / "run") as other:  # somebody who saw no lock
            other.check()
            with pytest.raises(lock.Moved):
                held.check()


def test_a_file_system_without_locks_is_named_and_questions_still_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["+profile=dry", f"outputs={tmp_path}"]
    assert running.here(*words) == 0
    run = running.only_run(tmp_path)

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(ThunderError, match=r"\.lock: No locks available: .* set outputs=FOLDER"),
        lock.owned(run.folder),
    ):
        pass
    assert run.is_owned()  # nobody can say that it is not
    assert tasks.main(["status", "--outputs", str(tmp_path)]) == 0
    assert run.id in capsys.readouterr().out
    assert running.here("+profile=dry", "seed=2", "retries=3", f"outputs={tmp_path}") == 1
    told = capsys.readouterr().out
    assert "cause   user" in told
    assert "retry" not in told  # what it says is true of every try
    assert running.only_run(tmp_path).id == run.id  # nothing was begun, so nothing is recorded


def test_a_folder_of_runs_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "dry").symlink_to("nowhere")
    told = f"{tmp_path}/dry: a link that leads nowhere"
    with pytest.raises(ThunderError, match=told), lock.owned(tmp_path / "dry" / "run"):
        pass
