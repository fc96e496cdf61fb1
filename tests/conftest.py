"""What several test modules need: a user's own folders, and a command line in this process."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import lab as labs
import pytest
from projects import DRY, Project

from thunder.config import sources
from thunder.ground.places import SHIPPED


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let tests/chaos/ be asked for more than a suite has time for."""
    parser.addoption(
        "--chaos", choices=["short", "long"], default="short",
        help="how many kills, full disks, tamperings and mutated inputs there are",
    )  # fmt: skip


def pytest_configure() -> None:
    """Have what tests start heed Ctrl-C and a closed terminal where pytest was told to ignore them.

    A shell's `&` has SIGINT ignored, and nohup SIGHUP, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_xdist_auto_num_workers() -> int:
    """Have two more than there are cores for `-n auto`: tests of hosts mostly wait."""
    return (os.cpu_count() or 1) + 2


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with one profile, `mine`; places in messages are relative to it."""
    found = Project(tmp_path / "project")
    found.profile(DRY)
    monkeypatch.chdir(found.root)
    return found


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


@pytest.fixture
def run_thunder(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """`python -m thunder …` as a real process, in an empty folder."""

    def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "thunder", *words],
            cwd=tmp_path, env={**os.environ, **environment}, text=True, encoding="utf-8",
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip

    return run


@pytest.fixture(autouse=True)
def no_hydra_state() -> Iterator[None]:
    """Hydra's global state must not leak from one test to the next."""
    yield
    hydra = sys.modules.get("hydra.core.global_hydra")
    if hydra is not None:
        assert not hydra.GlobalHydra.instance().is_initialized()


@pytest.fixture(autouse=True)
def ignores_local_yaml_of_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner's conf/local.yaml chooses a site; the tests of this process use the default."""
    local_file = sources.Sources.local_file

    def without_ours(self: sources.Sources) -> Path | None:
        found = local_file(self)
        return None if found == SHIPPED / "conf" / "local.yaml" else found

    monkeypatch.setattr(sources.Sources, "local_file", without_ours)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[labs.Lab]:
    """Two hosts behind ssh, mac4 and mac5, by their names for every process of the module."""
    tmp_path_factory.getbasetemp()  # not in the lab, which is gone before the other tests
    if reason := labs.lacking():
        pytest.skip(reason)
    with labs.hosts("mac4", "mac5") as up, pytest.MonkeyPatch.context() as patch:
        for name, value in up.environment.items():
            patch.setenv(name, value)
        patch.setattr(tempfile, "tempdir", None)
        yield up
