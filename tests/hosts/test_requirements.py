"""An environment of a host consists of what thunder asks for, in the versions that are here."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from thunder.ground.errors import ThunderError
from thunder.hosts import requirements
from thunder.hosts.requirements import CORE

METADATA = """Metadata-Version: 2.4
Name: thunder
Version: 9
Provides-Extra: sound
Provides-Extra: dev
Requires-Dist: numpy<3,>=2
Requires-Dist: mlx>=0.3; sys_platform == 'darwin'
Requires-Dist: psutil; extra == 'sound'
Requires-Dist: rich; (sys_platform == 'linux') and extra == 'sound'
Requires-Dist: pytest>=9; extra == 'dev'
"""


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thunder that was installed from a wheel: there is no pyproject.toml."""
    (tmp_path / "thunder-9.dist-info").mkdir()
    (tmp_path / "thunder-9.dist-info/METADATA").write_text(METADATA)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(requirements, "_PROJECT", tmp_path / "pyproject.toml")
    requirements._part.cache_clear()


@pytest.fixture(autouse=True)
def no_memory() -> None:
    requirements._part.cache_clear()


def test_all_that_is_asked_for_here_is_pinned_to_what_is_installed_here() -> None:
    part = requirements.parts()[CORE]
    pins = dict(pin.split("==") for pin in part.pins)
    for line in part.wanted:
        asked = Requirement(line)
        if asked.marker is None or asked.marker.evaluate():
            here = pins[asked.name.lower()]
            assert asked.specifier.contains(here), line
    assert pins["numpy"] == importlib.metadata.version("numpy")
    assert "pytest" not in pins


def test_what_comes_along_with_an_extra_of_what_is_asked_for_is_pinned() -> None:
    """mlx[cpu], of which mlx alone would say nothing."""
    if sys.platform != "linux":
        pytest.skip("mlx-cpu is of Linux")
    (pin,) = [pin for pin in requirements.parts()[CORE].pins if pin.startswith("mlx-cpu==")]
    assert pin == f"mlx-cpu=={importlib.metadata.version('mlx-cpu')}"


def test_a_version_is_that_of_everybody_s_build() -> None:
    assert requirements.public("2.13.0+cpu") == "2.13.0"
    assert all("+" not in pin for part in requirements.parts(["asr"]).values() for pin in part.pins)


def test_an_extra_is_a_part_of_its_own_and_leaves_the_core_as_it_is() -> None:
    alone, both = requirements.parts(), requirements.parts(["asr"])
    assert both[CORE].digest == alone[CORE].digest
    assert both["asr"].imports == ("soundfile", "soxr", "torch")
    assert both["asr"].digest != both[CORE].digest


def test_an_extra_that_there_is_not_is_named() -> None:
    with pytest.raises(ThunderError, match=r"no extra 'asrr' \(did you mean 'asr'\?\)"):
        requirements.parts(["asrr"])
    with pytest.raises(ThunderError, match="no extra 'dev'"):
        requirements.parts(["dev"])


def test_a_wheel_asks_for_the_same_as_its_checkout(wheel: None) -> None:
    parts = requirements.parts(["sound"])
    assert parts[CORE].wanted == ('mlx>=0.3; sys_platform == "darwin"', "numpy<3,>=2")
    assert parts["sound"].wanted == ("psutil", 'rich; sys_platform == "linux"')
    assert requirements.direct() == {
        "mlx": CORE, "numpy": CORE, "psutil": "sound", "rich": "sound",
    }  # fmt: skip


def test_other_versions_make_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = requirements.parts()[CORE].digest
    version = importlib.metadata.version
    newer = {"rich": "15.9"}
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: newer.get(name) or version(name)
    )
    requirements._part.cache_clear()
    assert requirements.parts()[CORE].digest != before


def test_the_program_that_asks_fails_where_something_is_missing() -> None:
    whole = requirements.parts()
    lacking = {CORE: requirements.Part((), (), ("json", "nowhere_to_be_found"))}
    codes = [
        subprocess.run(
            [sys.executable, "-c", requirements.script(p)], capture_output=True
        ).returncode
        for p in (whole, lacking)
    ]
    assert codes == [0, 1]
