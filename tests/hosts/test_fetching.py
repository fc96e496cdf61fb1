"""What comes home from a host is what was asked for, and takes the place of nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Lab

from thunder.ground.errors import Faults
from thunder.hosts import connection, fetching, hashing, host
from thunder.hosts.connection import Connection


@pytest.fixture
def mac4(lab: Lab) -> Iterator[Connection]:
    with connection.opened(host.of_site(lab.site())["mac4"]) as opened:
        yield opened


def test_what_a_host_calls_a_file_is_no_way_out_of_a_folder(
    mac4: Connection, tmp_path: Path
) -> None:
    mac4.call("write", path="~/evil", text="evil")
    (evil,) = hashing.listed(mac4, "~", ["evil"]) or ()
    source = mac4.call("folder", path="~/out")
    with pytest.raises(Faults, match=r"(?s)host mac4.*leads out of its folder.*'../evil'"):
        fetching.fetch(mac4, source, [{**evil, "path": "../evil"}], tmp_path / "home")
    assert [*tmp_path.iterdir()] == []


def test_what_comes_home_is_what_was_asked_for_and_takes_the_place_of_nothing_else(
    mac4: Connection, tmp_path: Path
) -> None:
    for name, text in (("a", "one"), ("deep/b", "two")):
        mac4.call("write", path=f"~/out/{name}", text=text)
    source = mac4.call("folder", path="~/out")
    wanted = hashing.listed(mac4, source) or []
    home = tmp_path / "home"
    assert fetching.fetch(mac4, source, wanted, home) == ["a", "deep/b"]
    assert fetching.fetch(mac4, source, wanted, home) == []
    assert (home / "deep/b").read_text() == "two"
    assert sorted(path.name for path in home.iterdir()) == ["a", "deep"]
    (home / "a").write_text("mine")
    with pytest.raises(Faults, match="a: another file is here"):
        fetching.fetch(mac4, source, wanted, home)
    assert fetching.fetch(mac4, source, wanted, home, replaces=True) == ["a"]
    mac4.call("write", path="~/out/a", text="changed since it was listed")
    (home / "a").unlink()
    with pytest.raises(Faults, match="a: its sha256 differs"):
        fetching.fetch(mac4, source, wanted, home)
    assert not (home / "a").exists()


def test_a_folder_that_is_new_appears_whole_and_what_is_right_is_not_pulled_again(
    mac4: Connection, tmp_path: Path
) -> None:
    for name in ("deep/a", "deep/b"):
        mac4.call("write", path=f"~/whole/{name}", text=name)
    source, home = mac4.call("folder", path="~/whole"), tmp_path / "home"
    home.mkdir()
    wanted = hashing.listed(mac4, source) or []
    mac4.call("write", path="~/whole/deep/b", text="changed")
    with pytest.raises(Faults, match="deep/b: its sha256 differs"):
        fetching.fetch(mac4, source, wanted, home)
    assert [*home.iterdir()] == []
    beside = fetching.incoming(home) / "deep/a"
    before = beside.stat().st_ino
    mac4.call("write", path="~/whole/deep/b", text="deep/b")
    assert fetching.fetch(mac4, source, wanted, home) == ["deep/a", "deep/b"]
    assert (home / "deep/a").stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_what_never_got_its_place_is_swept(mac4: Connection, tmp_path: Path) -> None:
    mac4.call("write", path="~/swept/a", text="one")
    source = mac4.call("folder", path="~/swept")
    wanted = hashing.listed(mac4, source) or []
    assert fetching.pull(mac4, source, wanted, tmp_path / "home") == []
    assert [path.name for path in tmp_path.iterdir()] == [".incoming-home"]
    fetching.sweep(tmp_path)
    assert [*tmp_path.iterdir()] == []
