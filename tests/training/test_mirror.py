"""A run folder and its mirror on a host: what is newer on either side comes to the other."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from lab import Lab

from thunder.ground import digest, files
from thunder.ground.errors import ThunderError
from thunder.hosts import connection, delivery, fetching, host
from thunder.runs import manifest
from thunder.runs import mirror as notes
from thunder.training import checkpoints, metrics, mirror_life
from thunder.training import mirror as mirrors
from thunder.training.checkpoints import Layout
from thunder.training.mirror import Damaged, Mirror
from thunder.training.placement import Slot

LAYOUT = Layout("record.json", "any", ("weights",))


@pytest.fixture
def mirror(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A run folder of nothing yet, and the way to where its mirror belongs."""
    monkeypatch.setattr("thunder.ground.schema.check", lambda *_, **__: None)
    run = tmp_path / "0123456789ab"
    run.mkdir()
    with connection.opened(host.of_site(lab.site())["mac4"]) as way:
        made = mirrors.of(Slot("mac4", way=way), run, "toy", LAYOUT)
        assert made is not None
        yield made
        shutil.rmtree(lab["mac4"].home / "thunder", ignore_errors=True)


def save(run: Path, step: int, *, kept: bool = True) -> dict[str, str]:
    """Save a checkpoint; return the digests of its files."""
    record: Mapping[str, Any] = {"step": step, "kept": kept}
    folder = checkpoints.save(
        run, LAYOUT, record, lambda work: files.write_text(work / "weights", f"of {step}")
    )
    return {path.name: digest.of_file(path) for path in folder.iterdir()}


def settled(mirror: Mirror) -> list[str]:
    lines = [*mirror.settle()]
    mirror.bring()
    return lines


def test_there_is_no_mirror_of_what_is_at_rank_0() -> None:
    assert mirrors.of(Slot(), Path("run"), "toy", LAYOUT) is None


def test_the_newest_checkpoint_and_the_rows_go_there_once(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(mirror.here, 5)
    newest = save(mirror.here, 10)
    metrics.add(mirror.here, {"step": 10, "loss": 1.0})
    assert settled(mirror) == []
    there = Path(mirror.there)
    assert mirror.digests(10) == newest
    assert [path.name for path in (there / "checkpoints").iterdir()] == ["step-0000010"]
    assert metrics.rows(there) == metrics.rows(mirror.here)
    monkeypatch.setattr(delivery, "bring", lambda *_: pytest.fail("brought twice"))
    assert settled(mirror) == []


def test_what_lies_there_is_noted_here_with_its_digest_and_goes_on_with_new_rows(
    mirror: Mirror,
) -> None:
    settled(mirror)
    assert notes.read(mirror.here) == {}  # nothing is there yet
    save(mirror.here, 10)
    for loss in (1.0, 0.5):
        metrics.add(mirror.here, {"step": 10, "loss": loss})
        mirror.bring()
        names = ["checkpoints/step-0000010/record.json", "checkpoints/step-0000010/weights"]
        noted = notes.read(mirror.here)["mac4"]
        assert noted["folder"] == mirror.there
        assert noted["artifacts"] == [
            manifest.artifact(Path(mirror.there), name) for name in [*names, "metrics.jsonl"]
        ]
        assert metrics.rows(Path(mirror.there)) == metrics.rows(mirror.here)


def test_what_is_newer_there_comes_home_with_its_rows(mirror: Mirror) -> None:
    save(mirror.here, 5)
    settled(mirror)
    there = Path(mirror.there)
    newest = save(there, 8, kept=False)
    files.write_text(there / "metrics.jsonl", '{"step": 8}\n{"step": 9}\n{"ste')
    files.write_text(mirror.here / "checkpoints/.incoming-step-0000007/weights", "of a cut")
    assert settled(mirror) == ["step 8 brought home from host mac4"]
    assert sorted(path.name for path in (mirror.here / "checkpoints").iterdir()) == [
        "step-0000005", "step-0000008",
    ]  # fmt: skip
    home = checkpoints.folder_of(mirror.here, 8)
    assert {path.name: digest.of_file(path) for path in home.iterdir()} == newest
    assert metrics.rows(mirror.here) == [{"step": 8}, {"step": 9}]


def test_a_saved_checkpoint_is_home_before_it_is_told_of(mirror: Mirror) -> None:
    settled(mirror)
    told: list[dict[str, Any]] = []

    def emit(event: dict[str, Any]) -> None:
        assert event["event"] != "saved" or (Path(event["path"]) / "record.json").is_file()
        told.append(event)

    tell = mirror.homing(emit)
    for step in (2, 4):
        save(Path(mirror.there), step, kept=False)
        tell({"event": "saved", "step": step, "path": "/there"})
    assert [Path(event["path"]).parent.parent for event in told] == [mirror.here] * 2
    assert checkpoints.steps(mirror.here) == [4]  # what a window only passed goes here, too


def test_a_checkpoint_that_is_dropped_while_it_is_pulled_is_not_told_of(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(mirror)
    save(Path(mirror.there), 2, kept=False)
    fetch = fetching.fetch

    def late(*arguments: Any, **more: Any) -> Any:
        save(Path(mirror.there), 4, kept=False)
        return fetch(*arguments, **more)

    monkeypatch.setattr(fetching, "fetch", late)
    mirror.homing(lambda event: pytest.fail(str(event)))({"event": "saved", "step": 2})
    assert [path for path in mirror.here.rglob("*") if path.name == "weights"] == []


def test_a_record_that_was_kept_later_is_taken_over(mirror: Mirror) -> None:
    settled(mirror)
    there = Path(mirror.there)
    save(there, 3, kept=False)
    assert mirror.fetch(3) is not None
    checkpoints.keep(checkpoints.folder_of(there, 3), LAYOUT, seen="late")
    folder = mirror.fetch(3)
    assert folder is not None
    assert files.read_json(folder / "record.json")["seen"] == "late"


def test_a_damaged_checkpoint_here_gives_way_to_the_whole_one_there(mirror: Mirror) -> None:
    settled(mirror)
    newest = save(Path(mirror.there), 3)
    mirror.fetch(3)
    home = checkpoints.folder_of(mirror.here, 3)
    files.write_text(home / "weights", "flipped")
    assert settled(mirror) == ["step 3 brought home from host mac4"]
    assert digest.of_file(home / "weights") == newest["weights"]


def test_what_does_not_hold_its_own_digests_there_is_refused(mirror: Mirror) -> None:
    settled(mirror)
    save(Path(mirror.there), 3)
    files.write_text(checkpoints.folder_of(Path(mirror.there), 3) / "weights", "flipped")
    with pytest.raises(Damaged, match="not what was saved: weights") as refused:
        mirror.fetch(3)
    assert refused.value.cause == "verification"
    assert checkpoints.steps(mirror.here) == []
    save(mirror.here, 2)
    (line,) = settled(mirror)
    assert line.startswith("passed over a damaged checkpoint: host mac4: ")
    assert checkpoints.steps(Path(mirror.there)) == [3, 2]


def test_a_mirror_of_another_life_of_the_run_is_moved_aside_whole(
    mirror: Mirror, lab: Lab, tmp_path: Path
) -> None:
    settled(mirror)
    newest = save(Path(mirror.there), 30)
    other = tmp_path / "other" / mirror.here.name
    other.mkdir(parents=True)
    (line,) = settled(Mirror(mirror.way, other, mirror.there, LAYOUT))
    assert checkpoints.steps(Path(mirror.there)) == []
    (aside,) = (lab["mac4"].home / "thunder/aside").iterdir()
    assert line == f"host mac4: a mirror of another run folder is now {aside}"
    folder = checkpoints.folder_of(aside, 30)
    assert {path.name: digest.of_file(path) for path in folder.iterdir()} == newest


def test_a_whole_run_that_lives_there_is_left_alone(mirror: Mirror) -> None:
    files.write_text(Path(mirror.there) / "run.json", "{}\n")
    with pytest.raises(ThunderError, match="is a whole run of its own"):
        settled(mirror)
    assert (Path(mirror.there) / "run.json").is_file()


def test_somebody_who_is_at_work_there_is_waited_for_and_then_refused(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(mirror)
    monkeypatch.setattr(mirror_life, "_FREE_SECONDS", 0.5)
    hold = (
        "import fcntl, os, time\n"
        f"fcntl.flock(os.open({mirror.lock!r}, os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)\n"
        "time.sleep(3)"
    )
    mirror.way.call("spawn", words=["python3", "-c", hold], folder=mirror.there, log="log")
    while not mirror.way.call("is_locked", path=mirror.lock):
        pass
    other = tmp_path / "other" / mirror.here.name
    other.mkdir(parents=True)
    for one in (mirror, Mirror(mirror.way, other, mirror.there, LAYOUT)):
        with pytest.raises(ThunderError, match="the ranks of another thunder are at work there"):
            settled(one)
    assert Path(mirror.lock).exists()  # nothing was moved under who holds it
    monkeypatch.setattr(mirror_life, "_FREE_SECONDS", 20.0)
    assert settled(mirror) == []
