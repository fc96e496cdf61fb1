"""What is run on a host is this very code, brought once, whole, by its content."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lab import Lab

from thunder.ground.errors import Faults, ThunderError
from thunder.hosts import connection, delivery, environment, host, requirements, transfer
from thunder.hosts.connection import Connection


@pytest.fixture
def mac4(lab: Lab) -> Iterator[Connection]:
    with connection.opened(host.of_site(lab.site())["mac4"]) as opened:
        yield opened


def test_this_very_code_runs_there_and_is_brought_once(lab: Lab, mac4: Connection) -> None:
    words = environment.command(mac4)
    code = Path(environment.bring_code(mac4))
    stamp = (code / "thunder/__init__.py").stat().st_mtime_ns
    assert environment.command(mac4) == words
    assert (code / "thunder/__init__.py").stat().st_mtime_ns == stamp
    script = "import thunder; from thunder.ground import schema, places; print(thunder.__file__)"
    said = mac4.call("run", words=[*words, "-c", script], seconds=30)
    assert said["out"] == f"{code}/thunder/__init__.py\n"
    assert code.is_relative_to(lab["mac4"].home / "thunder")
    assert not [*code.rglob("local.yaml")]
    assert (code / "schemas/common.json").is_file()


def test_what_thunder_asks_for_is_known_there_as_it_is_here(mac4: Connection) -> None:
    script = "from thunder.hosts import requirements; print(requirements.parts()[''].digest)"
    said = mac4.call("run", words=[*environment.command(mac4), "-c", script], seconds=30)
    assert said["out"].strip() == requirements.parts()[""].digest


def test_an_environment_that_lacks_what_is_needed_is_named(lab: Lab) -> None:
    site = {"hosts": {"mac4": {"environment": "/usr/bin/python3"}}}
    with (
        connection.opened(host.of_site(site)["mac4"]) as way,
        pytest.raises(ThunderError, match="cannot run thunder: ModuleNotFoundError"),
    ):
        environment.command(way)


def test_an_environment_in_the_home_of_a_host_is_run_by_its_path(lab: Lab) -> None:
    python = lab["mac4"].home / "py"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with connection.opened(host.Host("mac4", "mac4", environment="~/py")) as way:
        words = environment.command(way)
        done = way.call("run", words=[*words, "-c", "print(1)"], seconds=30)
    assert (words[-1], done["out"]) == (str(python), "1\n")


def test_a_host_with_nothing_to_run_thunder_with_is_told_what_to_do(lab: Lab) -> None:
    with (
        connection.opened(host.Host("mac5", "mac5")) as way,
        pytest.raises(ThunderError, match="thunder hosts prepare mac5"),
    ):
        environment.command(way)


def test_what_arrives_otherwise_than_it_was_sent_never_gets_its_name(
    mac4: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("one")
    push = transfer.push

    def spoil(*arguments: object) -> None:
        push(*arguments)  # type: ignore[arg-type]
        mac4.call("write", path=f"{arguments[3]}/a", text="two")

    monkeypatch.setattr(transfer, "push", spoil)
    target = f"{environment.workspace(mac4)}/in/spoilt"
    with pytest.raises(Faults, match=r"(?s)not what was sent.*a: its sha256 differs"):
        delivery.bring(mac4, tmp_path, ["a"], target)
    assert not delivery.is_there(mac4, target)


def test_two_who_bring_one_folder_at_once_bring_it_once(
    lab: Lab, mac4: Connection, tmp_path: Path
) -> None:
    names = [f"f{number}" for number in range(100)]
    for name in names:
        (tmp_path / name).write_bytes(os.urandom(2000))
    target = f"{environment.workspace(mac4)}/in/wanted"
    with connection.opened(mac4.host) as other, ThreadPoolExecutor() as pool:
        both = [
            pool.submit(delivery.bring, way, tmp_path, names, target)
            for way in (mac4, mac4, other, other)
        ]
        assert sorted(one.result() for one in both) == [False, False, False, True]
    assert [path.name for path in Path(target).parent.iterdir()] == ["wanted"]
    assert sorted(path.name for path in Path(target).iterdir()) == sorted(names)


def test_who_waits_for_others_to_bring_a_folder_is_stopped_when_asked(
    mac4: Connection, tmp_path: Path
) -> None:
    target = f"{environment.workspace(mac4)}/in/waited"
    with (
        delivery.alone(mac4, target, lambda: False),
        pytest.raises(ThunderError, match="stopped while others bring"),
    ):
        delivery.bring(mac4, tmp_path, [], target, lambda: True)


def test_what_an_earlier_delivery_left_beside_is_no_part_of_a_folder(
    mac4: Connection, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("one")
    target = f"{environment.workspace(mac4)}/in/run"
    mac4.call("write", path=f"{delivery.incoming(target)}/checkpoints/step-1/weights", text="old")
    mac4.call("link", folder=delivery.incoming(target), links={"old": "checkpoints"})
    assert delivery.bring(mac4, tmp_path, ["a"], target)
    assert [path.name for path in Path(target).iterdir()] == ["a"]
