"""A run that another one needs travels to a host in sight, and never meets who removes it there."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import Lab

from thunder.executors import owner, supplies
from thunder.ground import files, moving
from thunder.ground.errors import ThunderError
from thunder.hosts import connection, environment, host
from thunder.hosts.connection import Connection
from thunder.runs import listing

ID = "0123456789ab"


@pytest.fixture
def mac4(lab: Lab) -> Iterator[Connection]:
    with connection.opened(host.of_site(lab.site())["mac4"]) as opened:
        yield opened


@pytest.fixture
def needed(tmp_path: Path) -> Path:
    """A run that is done here."""
    folder = tmp_path / "outputs/dry" / ID
    files.write_text(folder / "rows", "x")
    return folder


def bring(
    way: Connection, folder: Path, said: list[str], stop: Callable[[], bool] = lambda: False
) -> Path:
    listing.write(folder, ID, {})
    runtime, needs = {"paths": {"features": str(folder)}}, {"needs": {"features": ID}}
    paths = supplies.paths(way, needs, runtime, environment.workspace(way), stop, said.append)
    return Path(paths["features"])


def test_how_far_it_is_is_told_while_it_travels(
    lab: Lab, mac4: Connection, needed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "_LINE_SECONDS", 0.2)
    (needed / "rows").write_bytes(os.urandom(3_000_000))
    said: list[str] = []
    with lab["mac4"].slow(megabits=16):
        there = bring(mac4, needed, said)
    assert (there / "rows").stat().st_size == 3_000_000
    assert said[0].startswith(f"host mac4: run dry/{ID}  ")
    assert " of 3 MB, " in said[0]
    assert said[0].endswith(("s left", "no byte yet"))
    mac4.call("remove", path=str(there), below="~/thunder")


def test_who_removes_it_there_is_waited_for_and_it_is_brought_anew(
    mac4: Connection, needed: Path
) -> None:
    there = bring(mac4, needed, [])
    with connection.opened(mac4.host) as other:
        assert other.call("hold", lock=owner.lock_of(str(there)))
        with pytest.raises(ThunderError, match="stopped while others have") as told:
            bring(mac4, needed, [], lambda: True)

        def removed_meanwhile() -> bool:
            if there.is_dir():
                there.rename(f"{there}-gone")
                other.close()
            return False

        assert bring(mac4, needed, [], removed_meanwhile) == there
    assert told.value.cause == "stopped"
    assert (there / "rows").read_text() == "x"
