"""Wheels of what is installed here, for a pip that reaches no index; a Python that is quick."""

import importlib.metadata
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from shared import once

SUFFIX = ".whl"
PYTHON = str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]


def make(folder: Path, names: Sequence[str]) -> list[str]:
    """Write a wheel of each of these packages; returns their exact versions as requirements."""
    folder.mkdir(parents=True, exist_ok=True)
    found = [importlib.metadata.distribution(name) for name in names]
    for distribution in found:
        _write(folder, distribution)
    return [f"{one.metadata['Name']}=={one.version}" for one in found]


def of_nothing(folder: Path, name: str, version: str) -> str:
    """Write a wheel with one module of this name, which has the version in it."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with _wheel(folder, name, version, "py3-none-any") as wheel:
        wheel.writestr(f"{name}.py", f"version = {version!r}\n")
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return f"{name}=={version}"


def configure(home: Path, folder: Path) -> None:
    """Let the pip of a home know this folder, and no index."""
    path = home / ".config/pip/pip.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[global]\nno-index = true\nfind-links = {folder}\n")


def quick_python(factory: pytest.TempPathFactory) -> str:
    """Return a Python whose environments are copies of one that is made once: pip takes long."""
    return str(once(factory, "quick-python", _make_quick_python) / "python")


def _make_quick_python(folder: Path) -> None:
    made, python = folder / "made", folder / "python"
    subprocess.run([PYTHON, "-m", "venv", "--clear", str(made)], check=True)
    copied = f'if [ "$1 $2" = "-m venv" ]; then exec cp -a {made} "$3"; fi'
    python.write_text(f'#!/bin/sh\n{copied}\nexec {PYTHON} "$@"\n')
    python.chmod(0o755)


def _write(folder: Path, distribution: importlib.metadata.Distribution) -> None:
    about = distribution.read_text("WHEEL") or ""
    tags = [line.partition(": ")[2] for line in about.splitlines() if line.startswith("Tag: ")]
    name = distribution.metadata["Name"].replace("-", "_")
    with _wheel(folder, name, distribution.version, tags[0]) as wheel:
        for file in distribution.files or ():
            inner = str(file)
            if not inner.startswith("..") and not inner.endswith(".pyc"):
                wheel.write(str(distribution.locate_file(file)), inner)


def _wheel(folder: Path, *parts: str) -> zipfile.ZipFile:
    """Begin a wheel; its name is of its package, version and tag."""
    return zipfile.ZipFile(folder / ("-".join(parts) + SUFFIX), "w")
