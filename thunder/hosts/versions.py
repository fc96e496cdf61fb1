"""The versions of what thunder needs on a host, held against those that are here."""

import platform
from collections.abc import Mapping, Sequence

from thunder.hosts import programs, requirements
from thunder.hosts.connection import Connection
from thunder.hosts.requirements import CORE

# A difference of these can change what is computed; one of the others is told, and no more.
_COMPUTING = ("mlx", "mlx-lm", "numpy", "tokenizers", "transformers", "torch")
_SECONDS = 60.0
_ASK = """
import importlib.metadata, json, sys
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
print(json.dumps({"python": sys.version.split()[0], **{n: version(n) for n in sys.argv[1:]}}))
"""

Versions = Mapping[str, str | None]


def of(way: Connection, words: Sequence[str]) -> Versions:
    """Return the version of each package that thunder asks for, and of Python, as a host has them.

    Args:
        words: that thunder is run with there.
    """
    answer: Versions = programs.answer(way, [*words, "-c", _ASK, *requirements.direct()], _SECONDS)
    return answer


def differences(versions: Versions) -> tuple[list[str], list[str]]:
    """Return which packages are of other versions than here: what counts, and the rest."""
    faults: list[str] = []
    told: list[str] = []
    ours, theirs = platform.python_version(), versions["python"] or ""
    if ours.split(".")[:2] != theirs.split(".")[:2]:
        told.append(f"Python is {theirs} there, {ours} here")
    for name, extra in requirements.direct().items():
        here, there = requirements.version(name), versions.get(name)
        if there is None and extra != CORE:
            continue
        if here != (there and requirements.public(there)):
            where = faults if name in _COMPUTING or there is None else told
            where.append(f"{name} is {there or 'missing'} there, {here or 'missing'} here")
    return faults, told
