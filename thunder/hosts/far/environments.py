"""The Pythons there, and the environments that were made with them."""

from __future__ import annotations

import glob
import json
import os
from typing import Any

from thunder.hosts.far.filesystem import placed, read
from thunder.hosts.far.processes import run
from thunder.hosts.far.refusal import Refused

WHOLE = ".whole"  # written last: what an environment says of itself
_SECONDS = 20.0
# Where Homebrew, python.org, pyenv and uv put them, and a shell that nobody logged into looks not.
_FOLDERS = (
    "/opt/homebrew/bin", "/usr/local/bin", "~/.local/bin",
    "/Library/Frameworks/Python.framework/Versions/{}/bin", "~/.pyenv/versions/{}*/bin",
    "~/.local/share/uv/python/cpython-{}*/bin",
)  # fmt: skip
# Debian has the modules that an environment is made with in a package of their own.
_ASK = """
import json, sys
try:
    import ensurepip, venv
    lacks = ""
except ImportError as error:
    lacks = error.name
print(json.dumps({"version": "%d.%d.%d" % sys.version_info[:3], "lacks": lacks}))
"""


def pythons(first: str, series: list[str]) -> list[dict[str, Any]]:
    """Return path, version and what it lacks of each Python there, in the order of the search.

    Args:
        first: the one that comes before all others.
        series: `3.12`, of those that are searched for.
    """
    return [{"path": path, **seen} for path in _paths(first, series) if (seen := _seen(path))]


def environments(folder: str) -> list[dict[str, Any]]:
    """Return path and what it says of itself of each environment of a folder that is whole."""
    texts = {path: read(path) for path in sorted(glob.glob(f"{placed(folder)}/*/{WHOLE}"))}
    return [{"path": os.path.dirname(p), **json.loads(t)} for p, t in texts.items() if t]


def _paths(first: str, series: list[str]) -> list[str]:
    searched = [first]
    for name in series:
        folders = [*os.environ.get("PATH", "").split(os.pathsep), *_FOLDERS]
        for folder in folders:
            pattern = f"{placed(folder.format(name))}/python{name}"
            searched += sorted(filter(_is_program, glob.glob(pattern)), reverse=True)
    return list(dict.fromkeys(searched))


def _is_program(path: str) -> bool:
    return os.access(path, os.X_OK)


def _seen(path: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(run([path, "-c", _ASK], _SECONDS)["out"]))
    except (OSError, ValueError, Refused):  # one that is there, and does not run
        return None
