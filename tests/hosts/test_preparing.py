"""An environment is made on a host by venv and pip there, once, whole, or not at all."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import wheelhouse
from lab import Lab

from thunder.ground.errors import Stopped, ThunderError
from thunder.hosts import (
    base_python,
    building,
    connection,
    environment,
    examination,
    host,
    preparing,
    requirements,
)
from thunder.hosts.connection import Connection
from thunder.hosts.far import builder
from thunder.hosts.requirements import CORE, Part

pytestmark = pytest.mark.slow

PACKAGES = ("jsonschema-rs", "rfc8785", "psutil", "PyYAML", "numpy")
IMPORTS = ("jsonschema_rs", "rfc8785", "psutil", "yaml", "numpy")
NOWHERE = "192.0.2.1"  # an address of documentation, which no machine has (RFC 5737)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wheels")


@pytest.fixture(scope="module")
def parts(wheels: Path) -> dict[str, Part]:
    """What thunder itself imports, all from wheels that lie on this machine."""
    pins = tuple(wheelhouse.make(wheels, PACKAGES))
    return {CORE: Part(PACKAGES, pins, IMPORTS)}


@pytest.fixture
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    return wheelhouse.quick_python(tmp_path_factory)


@pytest.fixture
def way(
    lab: Lab, wheels: Path, parts: dict[str, Part], python: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Connection]:
    monkeypatch.setattr(requirements, "parts", lambda extras=(): parts)
    wheelhouse.configure(lab["mac4"].home, wheels)
    with connection.opened(host.Host("mac4", "mac4", python=python)) as opened:
        yield opened
        opened.call("remove", path="~/thunder/env", below="~/thunder")


def _small(*wanted: str, imports: tuple[str, ...] = ("sys",)) -> dict[str, Part]:
    return {CORE: Part(wanted, wanted, imports)}


@pytest.mark.parametrize("python", [wheelhouse.PYTHON], ids=["not a quick one"])
def test_what_is_made_runs_this_very_code_and_is_not_made_twice(
    lab: Lab, way: Connection, python: str, parts: dict[str, Part]
) -> None:
    said: list[str] = []
    made = preparing.prepare(way, parts, said.append)
    assert made.is_new
    assert said[0].endswith(python)
    assert any(line.startswith("Installing collected packages") for line in said)
    made_of = environment.python_of(way)
    assert made_of == f"{made.folder}/bin/python"
    assert Path(made.folder).parent == lab["mac4"].home / "thunder/env"
    done = way.call(
        "run",
        words=[
            *environment.command(way),
            "-c",
            "import thunder.ground.schema as s; print(s.names()[0])",
        ],
        seconds=30,
    )
    assert done["out"] == "adapter\n", done["err"]
    again = preparing.prepare(way, parts, said.append)
    assert (again.folder, again.is_new) == (made.folder, False)
    seen = examination.of(way)
    assert (seen["environment"], seen["is_prepared"]) == (made_of, True)
    here = requirements.version("mlx")
    assert f"mlx is missing there, {here} here" in seen["faults"]  # not one of these parts
    assert sorted(path.name for path in Path(made.folder).parent.iterdir()) == [
        Path(made.folder).name
    ]


def test_other_versions_here_make_another_environment_and_the_old_one_is_not_believed(
    lab: Lab, way: Connection, wheels: Path
) -> None:
    old, new = (
        _small(wheelhouse.of_nothing(wheels, "thing", v), imports=("thing",))
        for v in ("1.0", "2.0")
    )
    first = preparing.prepare(way, old, print)
    assert environment.prepared(way, old) == first.folder
    assert environment.prepared(way, new) is None
    second = preparing.prepare(way, new, print)
    done = way.call(
        "run",
        words=[f"{second.folder}/bin/python", "-c", "import thing; print(thing.version)"],
        seconds=9,
    )
    assert done["out"] == "2.0\n"


def test_an_environment_that_no_longer_runs_is_named_and_made_anew(
    way: Connection, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = _small(wheelhouse.of_nothing(wheels, "thing", "1.0"), imports=("thing",))
    monkeypatch.setattr(requirements, "parts", lambda extras=(): parts)
    made = preparing.prepare(way, parts, print)
    (Path(made.folder) / "bin/python").unlink()
    with pytest.raises(ThunderError, match=r"cannot run thunder any more: .*hosts prepare mac4"):
        environment.python_of(way)
    again = preparing.prepare(way, parts, print)
    assert (again.folder, again.is_new) == (made.folder, True)
    assert environment.python_of(way) == f"{made.folder}/bin/python"


def test_what_no_index_has_is_named_and_nothing_half_made_is_taken_for_an_environment(
    lab: Lab, way: Connection
) -> None:
    parts = _small("nowhere-to-be-found==1.0")
    with pytest.raises(ThunderError, match=r"hosts\.mac4\.environment of the site") as refused:
        preparing.prepare(way, parts, print)
    assert "pip: Cannot install nowhere-to-be-found==1.0" in str(refused.value)
    assert environment.prepared(way, parts) is None
    assert not [*(lab["mac4"].home / "thunder/env").glob("[!.]*")]


def test_a_host_without_a_way_to_the_index_is_told_as_that(lab: Lab, way: Connection) -> None:
    lines = ["[global]", f"index-url = https://{NOWHERE}", "extra-index-url =", "retries = 1"]
    config = lab["mac4"].home / ".config/pip/pip.conf"
    config.write_text("\n".join([*lines, ""]))
    with pytest.raises(ThunderError, match="no way from there to the package index"):
        preparing.prepare(way, _small("thing==7"), print)


def test_what_installs_and_cannot_be_imported_is_no_environment(
    way: Connection, wheels: Path
) -> None:
    parts = _small(wheelhouse.of_nothing(wheels, "thing", "1.0"), imports=("another_thing",))
    with pytest.raises(
        ThunderError, match="import: ModuleNotFoundError: No module named 'another_thing'"
    ):
        preparing.prepare(way, parts, print)
    assert environment.prepared(way, parts) is None


def test_a_preparation_that_takes_too_long_is_ended_there(
    lab: Lab, way: Connection, wheels: Path
) -> None:
    parts = _small(
        wheelhouse.of_nothing(wheels, "thing", "1.0"),
        imports=("time; time.sleep(99); import thing",),
    )
    with pytest.raises(ThunderError, match=r"not ended in time"):
        preparing.prepare(way, parts, print, seconds=1.0)
    assert not _working(lab, lab["mac4"].home / "thunder/env")


def test_who_asks_a_second_time_follows_what_goes_on(
    lab: Lab, way: Connection, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one lost its way: what it had begun goes on there."""
    parts = _small(
        wheelhouse.of_nothing(wheels, "thing", "1.0"),
        imports=("time; time.sleep(3); import thing",),
    )

    def cut(*_: object) -> None:
        raise connection.Lost("cut")

    with monkeypatch.context() as patch:
        patch.setattr(building, "follow", cut)
        with pytest.raises(connection.Lost):
            preparing.prepare(way, parts, print)
    lock = next((lab["mac4"].home / "thunder/env").glob(".making-*")) / builder.LOCK
    while not way.call("is_locked", path=str(lock)):
        pass
    said: list[str] = []
    assert preparing.prepare(way, parts, said.append).is_new
    assert "is being made already; following it" in said


def test_who_sees_the_end_after_another_has_tidied_up_has_an_environment_too(
    way: Connection, wheels: Path
) -> None:
    thing = wheelhouse.of_nothing(wheels, "thing", "1.0")
    parts = _small(thing, imports=("time; time.sleep(3); import thing",))
    said: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(preparing.prepare, way, parts, said.append)
        while "Installing" not in "".join(said):
            time.sleep(0.1)

        def after_the_first() -> bool:
            return not first.result(60)

        begun = time.monotonic()
        second = preparing.prepare(way, parts, said.append, stop=after_the_first)
    assert "is being made already; following it" in said
    assert second.folder == first.result().folder
    assert time.monotonic() - begun < 30


def test_of_two_who_prepare_at_once_one_begins_and_both_hear_what_is_done(
    way: Connection, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = wheelhouse.of_nothing(wheels, "thing", "1.0")
    parts = _small(thing, imports=("time; time.sleep(2); import thing",))
    both, spawned, call = threading.Barrier(2), list[str](), Connection.call

    def slow(self: Connection, op: str, **more: Any) -> Any:
        answer = call(self, op, **more)
        if op == "is_locked" and not spawned:  # nobody is at work, and each has seen that
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(2)
        if op == "spawn":
            spawned.append(op)
        return answer

    monkeypatch.setattr(Connection, "call", slow)
    said: list[list[str]] = [[], []]
    with connection.opened(way.host) as other, ThreadPoolExecutor(2) as pool:
        made = [
            one.result(60)
            for one in [
                pool.submit(preparing.prepare, by, parts, lines.append)
                for by, lines in zip((way, other), said, strict=True)
            ]
        ]
    assert len(spawned) == 1
    assert len({one.folder for one in made}) == 1
    follows = ["is being made already; following it" in lines for lines in said]
    assert sorted(follows) == [False, True]
    assert all(any(line.startswith("Installing") for line in lines) for lines in said)
    assert not [*Path(made[0].folder).parent.glob(".*")]


def test_who_has_seen_the_end_leaves_alone_what_another_has_begun_since(
    lab: Lab, way: Connection, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = _small(wheelhouse.of_nothing(wheels, "thing", "1.0"), imports=("thing",))
    follow = building.follow

    def then_another(build: building.Build, *more: Any) -> Any:
        outcome = follow(build, *more)
        words = ["flock", build.lock, "sleep", "5"]
        way.call("spawn", words=words, folder=build.folder, log=builder.LOG)
        while not way.call("is_locked", path=build.lock):
            pass
        return outcome

    monkeypatch.setattr(building, "follow", then_another)
    made = preparing.prepare(way, parts, print)
    (folder,) = (lab["mac4"].home / "thunder/env").glob(".making-*")
    assert folder.name == f".making-{Path(made.folder).name}"
    assert (folder / builder.PLAN).exists()


def test_an_environment_that_is_slow_to_answer_is_not_made_anew(
    way: Connection, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = wheelhouse.of_nothing(wheels, "thing", "1.0")
    parts = _small(thing, imports=("time; time.sleep(2); import thing",))
    made = preparing.prepare(way, parts, print)
    monkeypatch.setattr(environment, "_ASK_SECONDS", 1.0)
    used = Path(made.folder) / "used-by-a-run"
    used.touch()
    again = preparing.prepare(way, parts, print)
    assert (again.folder, again.is_new) == (made.folder, False)
    with pytest.raises(ThunderError, match="not ended in time"):
        preparing.prepare(way, parts, print, seconds=1.0)
    assert used.exists()


def test_a_host_whose_python_is_too_old_to_run_thunder_is_told_what_was_found(
    lab: Lab, tmp_path: Path, parts: dict[str, Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "python3"
    answer = '{"version": "3.10.4", "lacks": ""}'
    old.write_text(
        f"#!/bin/sh\ncase \"$2\" in *ensurepip*) echo '{answer}'; exit;; esac\n"
        f'exec {wheelhouse.PYTHON} "$@"\n'
    )
    old.chmod(0o755)
    monkeypatch.setattr(base_python, "_SERIES", ())
    described = dataclasses.replace(host.Host("mac5", "mac5"), python=str(old))
    with (
        connection.opened(described) as way,
        pytest.raises(
            ThunderError, match=r"no Python 3.11 or later there, only 3.10.4 at .*hosts.mac5.python"
        ),
    ):
        preparing.prepare(way, parts, print)


def test_what_is_stopped_is_ended_there_too(
    lab: Lab, way: Connection, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = wheelhouse.of_nothing(wheels, "thing", "1.0")
    parts = _small(thing, imports=("time; time.sleep(99); import thing",))
    said: list[str] = []

    def has_begun() -> bool:
        return any(line.startswith("Installing") for line in said)

    with pytest.raises(Stopped, match="host mac4: stopped while an environment was made"):
        preparing.prepare(way, parts, said.append, stop=has_begun)
    deadline = time.monotonic() + 10
    folder = lab["mac4"].home / "thunder/env"
    while time.monotonic() < deadline and (_working(lab, folder) or [*folder.glob("[!.]*")]):
        time.sleep(0.1)
    assert not _working(lab, folder)
    assert environment.prepared(way, parts) is None
    assert not [*folder.glob("[!.]*")]


def test_a_stop_between_two_steps_begins_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "_now", {"step": None, "is_stopped": False})
    popen = subprocess.Popen

    def stopped_first(*words: Any, **options: Any) -> "subprocess.Popen[bytes]":
        os.kill(os.getpid(), signal.SIGTERM)
        return popen(*words, **options)

    monkeypatch.setattr(builder.subprocess, "Popen", stopped_first)
    before = signal.signal(signal.SIGTERM, builder._stop)
    try:
        assert builder._code(["sleep", "30"], 30.0) == -signal.SIGKILL
    finally:
        signal.signal(signal.SIGTERM, before)


def _working(lab: Lab, folder: Path) -> list[str]:
    return [row for row in lab["mac4"].processes() if str(folder) in row]
