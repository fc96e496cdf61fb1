"""What an environment of thunder consists of: what it asks for, in the versions that are here.

Not constraints.txt, which a wheel does not carry: what is installed here is what runs on a host
are compared with.
"""

import functools
import importlib.metadata
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from thunder.ground import digest
from thunder.ground.errors import ThunderError
from thunder.ground.wording import nearest
from thunder.jobs.kinds import KINDS

CORE = ""  # beside the names of extras: what is always needed
_PROJECT = Path(__file__).resolve().parent.parent.parent / "pyproject.toml"
_NEVER_THERE = "dev"
_IMPORTS = ("jsonschema_rs", "rfc8785", "psutil", "yaml", "numpy")


@dataclass(frozen=True)
class Part:
    """A part of an environment: the core of thunder, or an extra.

    Args:
        wanted: as pip is asked for it, with markers for other systems.
        pins: `name==version` of what that brings along here.
        imports: what must be importable for the part to be usable.
    """

    wanted: tuple[str, ...]
    pins: tuple[str, ...]
    imports: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Return the name of the part in exactly these versions."""
        return digest.of_value([*self.wanted, *self.pins])


def parts(extras: Sequence[str] = ()) -> dict[str, Part]:
    """Return the core, and each of the extras, by name.

    Raises:
        ThunderError: there is no such extra.
    """
    return {name: _part(name) for name in (CORE, *extras)}


def script(every: Mapping[str, Part]) -> str:
    """Return a program that ends well where all parts can be used."""
    names = [name for part in every.values() for name in part.imports]
    return f"import {', '.join(names)}, sys; print(sys.version.split()[0])"


def direct() -> dict[str, str]:
    """Return what thunder asks for by itself: each package, with the extra that it is of."""
    return {
        canonicalize_name(Requirement(line).name): extra
        for extra, lines in sorted(_declared().items())
        for line in lines
    }


def version(name: str) -> str | None:
    """Return the version of a package here, None where it is not installed."""
    try:
        return public(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return None


def public(version: str) -> str:
    """Return a version without what a machine's own build of it is called: 2.13.0 of 2.13.0+cpu."""
    return version.partition("+")[0]


@functools.cache
def _part(name: str) -> Part:
    declared = _declared()
    if name not in declared:
        known = sorted(declared.keys() - {CORE})
        raise ThunderError(f"no extra {name!r}{nearest(name, known)}; extras: {', '.join(known)}")
    packages = {p for kind in KINDS.values() if kind.extra == name for p in kind.packages}
    return Part(
        tuple(declared[name]),
        tuple(_pins(declared[name])),
        tuple(sorted(packages)) if name else _IMPORTS,
    )


def _declared() -> dict[str, list[str]]:
    """Return the requirements of the core and of each extra, as thunder declares them."""
    if _PROJECT.is_file():  # a checkout: what is installed may be older than what it says
        project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
        declared = {CORE: project["dependencies"], **project["optional-dependencies"]}
    else:
        lines = importlib.metadata.requires("thunder") or []
        names = importlib.metadata.metadata("thunder").get_all("Provides-Extra") or []
        declared = {name: [*_of_extra(lines, name)] for name in names}
        declared[CORE] = [line for line in lines if "extra ==" not in line]
    # As packaging writes them: a wheel has the same words in another order than a checkout.
    return {
        name: sorted(str(Requirement(line)) for line in lines)
        for name, lines in declared.items()
        if name != _NEVER_THERE
    }


def _of_extra(lines: Sequence[str], extra: str) -> list[str]:
    """Return the lines of an extra without what says so, which pip would take for a no."""
    says = re.compile(rf"""(;\s*|\s+and\s+)extra == ['"]{extra}['"]""")
    return [says.sub("", line) for line in lines if says.search(line)]


def _pins(lines: Sequence[str]) -> list[str]:
    """Return the exact versions of what requirements bring along on this machine."""
    waiting = [(Requirement(line), CORE) for line in lines]
    versions: dict[str, str] = {}
    seen = set()
    while waiting:
        asked, extra = waiting.pop()
        applies = asked.marker is None or asked.marker.evaluate({"extra": extra})
        for name in (CORE, *asked.extras) if applies else ():
            key = (canonicalize_name(asked.name), name)
            if key in seen or (found := version(asked.name)) is None:
                continue
            seen.add(key)
            versions[key[0]] = found
            inner = importlib.metadata.requires(asked.name) or []
            waiting += [(Requirement(line), name) for line in inner]
    return [f"{name}=={found}" for name, found in sorted(versions.items())]
