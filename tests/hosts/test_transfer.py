"""Files to a host and back: what a cut leaves is gone on from, what cannot be is named."""

import os
import threading
import time
from pathlib import Path

import pytest
from lab import Lab

from thunder.ground.errors import ThunderError
from thunder.hosts import connection, host, transfer
from thunder.hosts.connection import Lost


def test_files_go_and_come_with_their_names_and_links(lab: Lab, tmp_path: Path) -> None:
    mac4 = host.of_site(lab.site())["mac4"]
    source = tmp_path / "source"
    (source / "deep/er").mkdir(parents=True)
    (source / "deep/er/ߒߞߏ (1).txt").write_text("one", encoding="utf-8")
    (source / "-odd name").write_bytes(b"\0\1")
    (source / "link").symlink_to("deep/er")
    (source / "left").write_text("not asked for")
    names = ["deep/er/ߒߞߏ (1).txt", "-odd name", "link"]
    with connection.opened(mac4) as opened:
        far = opened.call("folder", path="~/w/in")
        transfer.push(opened, source, names, far)
        transfer.pull(opened, far, names, tmp_path / "back")
    assert (tmp_path / "back" / names[0]).read_text(encoding="utf-8") == "one"
    assert (tmp_path / "back" / names[1]).read_bytes() == b"\0\1"
    assert os.readlink(tmp_path / "back/link") == "deep/er"
    assert not (tmp_path / "back/left").exists()


def test_a_transfer_that_is_stopped_goes_on_from_where_it_was(lab: Lab, tmp_path: Path) -> None:
    mac4 = host.of_site(lab.site())["mac4"]
    source = tmp_path / "source"
    source.mkdir()
    (source / "big").write_bytes(os.urandom(8 << 20))
    with connection.opened(mac4) as opened:
        far, begun = opened.call("folder", path="~/w/big"), time.monotonic()
        with (
            lab["mac4"].slow(megabits=16),
            pytest.raises(ThunderError, match="stopped while files went"),
        ):
            transfer.push(opened, source, ["big"], far, lambda: time.monotonic() - begun > 2)
        kept = opened.call("listing", folder=far)
        assert [row["path"] for row in kept] == [".part/big"]
        assert 0 < kept[0]["bytes"] < 8 << 20
        transfer.push(opened, source, ["big"], far)
        (row,) = opened.call("listing", folder=far, hashed=True)
    assert (row["path"], row["bytes"]) == ("big", 8 << 20)


def test_a_stop_is_heard_while_nothing_goes_through_the_link(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(os.urandom(8 << 20))
    cutting = threading.Timer(1.0, lab["mac4"].cut)
    with connection.opened(host.of_site(lab.site())["mac4"]) as opened, lab["mac4"].slow(16):
        far, begun = opened.call("folder", path="~/w/cut"), time.monotonic()
        cutting.start()
        try:
            with pytest.raises(ThunderError, match="stopped while files went"):
                transfer.push(opened, tmp_path, ["big"], far, lambda: time.monotonic() - begun > 2)
            assert time.monotonic() - begun < 20  # ssh itself gives a link up after 30
        finally:
            cutting.join()
            lab["mac4"].heal()


def test_what_is_not_there_to_be_brought_is_named(lab: Lab, tmp_path: Path) -> None:
    mac4 = host.of_site(lab.site())["mac4"]
    with (
        connection.opened(mac4) as opened,
        pytest.raises(ThunderError, match=r"host mac4 .*nowhere"),
    ):
        transfer.pull(opened, str(lab["mac4"].home / "nowhere"), ["a"], tmp_path / "back")


def test_a_host_that_is_lost_on_the_way_is_told_as_lost(lab: Lab, tmp_path: Path) -> None:
    machine, mac5 = lab["mac5"], host.of_site(lab.site())["mac5"]
    source = tmp_path / "source"
    source.mkdir()
    (source / "big").write_bytes(os.urandom(8 << 20))
    killer = threading.Timer(1.0, machine.run, ["pkill", "-9", "rsync"])
    with connection.opened(mac5) as opened, machine.slow(megabits=16):
        killer.start()
        with pytest.raises(Lost, match=r"host mac5"):
            transfer.push(opened, source, ["big"], str(machine.home))
        killer.join()
