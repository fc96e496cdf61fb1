"""A run's folder goes on a host unless somebody works there, or it is not what was looked at."""

import fcntl
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


def discard(run: Path) -> None:
    digests = {"rows": digest.of_bytes(b"x")}
    discarding.discard(str(run), str(run.parent.parent), ".lock", digests)


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


def test_it_stays_when_it_is_not_what_was_looked_at(run: Path) -> None:
    (run / "rows").write_text("y")
    with pytest.raises(Refused, match="it has changed since"):
        discard(run)
    assert (run / "rows").is_file()


def test_what_lies_elsewhere_stays(run: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not below"):
        discarding.discard(str(run), str(tmp_path / "other"), ".lock", {})
    assert (run / "rows").is_file()
