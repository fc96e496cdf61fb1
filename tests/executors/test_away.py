"""What owns a run on a host hears a stop, and that nobody asks for it, whatever else befalls it."""

import shutil
import threading
import time
from pathlib import Path

import pytest
import running

from thunder.executors import away
from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.runs.run import Run


def begun(folder: Path, unattended: float = 60.0) -> away.Work:
    """What owns a run of a folder, watching."""
    own = folder / away.FOLDER / "a"
    files.write_text(own / away.RENEWED, "")
    work = away.Work(Run(folder), own, unattended)
    threading.Thread(target=work.watch, daemon=True).start()
    return work


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(away, "_LOOK_SECONDS", 0.01)
    place = tmp_path / "dry" / ("0" * 12)
    place.mkdir(parents=True)
    (place / "link").symlink_to("nothing")  # for which nothing can be listed
    return place


def test_a_stop_is_heard_after_a_listing_that_failed(folder: Path) -> None:
    work = begun(folder)
    files.write_text(work.own / away.LIST, "")
    running.wait_for(lambda: not (work.own / away.LIST).exists(), "an answer")
    assert not work.stopping.is_set()
    files.write_text(work.own / away.STOP, "")
    assert work.stopping.wait(10)
    assert not work.expired


def test_a_run_that_nobody_asks_for_ends_though_its_own_folder_is_gone(folder: Path) -> None:
    work = begun(folder, unattended=0.5)
    shutil.rmtree(work.own)
    assert work.stopping.wait(10)
    assert work.expired


def test_what_was_given_up_before_it_began_is_not_begun(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(away.signal, "signal", lambda *_: None)
    own, words = folder / away.FOLDER / "a", [str(folder), "a", "nowhere:run"]
    own.mkdir(parents=True)
    assert away.main(words) == 0
    assert [*own.iterdir()] == []
    files.write_text(own / away.RENEWED, "60")
    with pytest.raises(ThunderError, match=r"run\.json: missing"):  # it would begin
        away.main(words)


def test_what_cannot_be_listed_is_told_in_place_of_the_event_that_speaks_of_it(
    folder: Path,
) -> None:
    work = begun(folder)
    work.tell({"event": "saved", "step": 1})
    (folder / "link").unlink()
    work.tell({"event": "saved", "step": 2})
    warning, saved = files.read_jsonl(work.own / away.EVENTS)
    assert warning["event"] == "warning"
    assert "saved not told: " in warning["text"]
    assert "a link to nothing" in warning["text"]
    assert saved == {"event": "saved", "step": 2}


def test_a_folder_that_is_renamed_meanwhile_fails_no_listing(folder: Path) -> None:
    (folder / "link").unlink()
    files.write_text(folder / "one/rows", "x")
    is_over = threading.Event()

    def rename() -> None:
        while not is_over.is_set():
            (folder / "one").rename(folder / "two")
            (folder / "two").rename(folder / "one")

    thread = threading.Thread(target=rename)
    thread.start()
    try:
        work = away.Work(Run(folder), folder / away.FOLDER / "a", 60.0)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            work.list()
    finally:
        is_over.set()
        thread.join()
