"""A run's folder goes on a host unless somebody works there, or it is not what was looked at."""

import fcntl
import os
from pathlib import Path

import pytest

from thunder.ground import digest, files
from thunder.hosts.far import discarding
from thunder.hosts.far.refusal import Refused


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs/dry/one"
    for place in (folder, tmp_path / "runs/dry/two"):
        files.write_text(place / "rows", "x")
        files.write_text(place / ".lock", "")
    return folder


def signs(run: Path) -> tuple[str, str, str, str]:
    return str(run.parent.parent), ".lock", ".away/*/renewed", "events"


def discard(run: Path) -> None:
    discarding.discard(str(run), *signs(run), {"rows": digest.of_bytes(b"x")})


def test_it_goes_with_what_an_earlier_removal_left(run: Path) -> None:
    files.write_text(run.parent / ".gone-three-1/rows", "half of it")
    discard(run)
    assert [path.name for path in run.parent.iterdir()] == ["two"]


@pytest.mark.parametrize(
    ("owned", "why"), [("one", "one: it goes on there"), ("two", "dry/two goes on there")]
)
def test_it_stays_when_it_or_another_was_begun_meanwhile(run: Path, owned: str, why: str) -> None:
    with (run.parent / owned / ".lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Refused, match=why):
            discard(run)
    assert (run / "rows").is_file()


@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_it_stays_while_it_or_another_is_on_its_way_there(run: Path, name: str) -> None:
    lock = run.parent / f"{discarding.SENDING}{name}"
    with lock.open("w") as held:
        assert discarding.living(*signs(run)) == []
        fcntl.flock(held, fcntl.LOCK_EX)
        assert discarding.living(*signs(run)) == [f"dry/{name}"]
        with pytest.raises(Refused, match=f"dry/{name} goes on there"):
            discard(run)
    assert (run / "rows").is_file()


@pytest.mark.parametrize("name", ["one", "two"])
def test_it_stays_while_a_claim_on_it_or_another_waits_to_be_begun(run: Path, name: str) -> None:
    renewed = run.parent / name / ".away/claim/renewed"
    files.write_text(renewed, "60")
    assert discarding.living(*signs(run)) == [f"dry/{name}"]
    with pytest.raises(Refused, match=f"dry/{name} goes on there"):
        discard(run)
    assert (run / "rows").is_file()
    os.utime(renewed, (0, 0))  # then who sent it has given it up
    assert discarding.living(*signs(run)) == []
    files.write_text(renewed, "60")
    files.write_text(renewed.with_name("events"), "")  # from then on its lock says it
    assert discarding.living(*signs(run)) == []
    discard(run)


def test_it_stays_when_it_is_not_what_was_looked_at(run: Path) -> None:
    (run / "rows").write_text("y")
    with pytest.raises(Refused, match="it has changed since"):
        discard(run)
    assert (run / "rows").is_file()


def test_what_lies_elsewhere_stays(run: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not below"):
        discarding.discard(str(run), str(tmp_path / "other"), *signs(run)[1:], {})
    assert (run / "rows").is_file()
