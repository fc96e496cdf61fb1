"""What thunder is run with on a host: this very code, and a Python that has its packages."""

import functools
from collections.abc import Sequence
from pathlib import Path

from thunder.ground import digest
from thunder.ground.errors import ThunderError
from thunder.ground.places import SHIPPED
from thunder.hosts import delivery
from thunder.hosts.connection import Connection

_ROOT = Path(__file__).resolve().parent.parent.parent
_SHIPPED = ("conf", "matrices", "schemas")
_ASK_SECONDS = 60.0
_ID = 12  # digits of a digest in the name of a folder
# Fails where a package is missing that the core of thunder needs.
_ASK = "import jsonschema_rs, rfc8785, psutil, yaml, numpy, sys; print(sys.version.split()[0])"


def command(way: Connection) -> list[str]:
    """Return the words that this very code is run with there: a module or `-c` follows them.

    The code is brought if it is not there yet: what is changed here is never run as it was.

    Raises:
        ThunderError: the host has no Python with what thunder needs.
    """
    python = python_of(way)
    return ["env", f"PYTHONPATH={bring_code(way)}", python]


def python_of(way: Connection) -> str:
    """Return the Python of a host that has what thunder needs.

    Raises:
        ThunderError: there is none, and what to do.
    """
    host = way.host
    if host.environment is not None:
        asked = way.call(
            "run", words=[host.environment, "-c", _ASK], seconds=_ASK_SECONDS, within=_ASK_SECONDS
        )
        if asked["code"] == 0:
            return host.environment
        reason = (asked["err"].strip().splitlines() or [f"it ended with {asked['code']}"])[-1]
        raise ThunderError(
            f"host {host.name}: hosts.{host.name}.environment of the site, {host.environment}, "
            f"cannot run thunder: {reason}",
            "environment",
        )
    raise ThunderError(
        f"host {host.name} has nothing that thunder can be run with yet: "
        f"thunder hosts prepare {host.name}",
        "environment",
    )


def bring_code(way: Connection) -> str:
    """Have this very code on a host, in a folder named after its content; returns the folder."""
    names, content = _code()
    target = f"{workspace(way)}/code/{content[:_ID]}"
    delivery.bring(way, _ROOT, names, target)
    return target


def workspace(way: Connection) -> str:
    """Return the absolute path of thunder's folder on a host, which is there."""
    return str(way.call("folder", path=way.host.workspace))


def code_digest() -> str:
    """Return the digest of the code that this is part of."""
    return _code()[1]


def code_folder() -> Path:
    """Return the folder of the code that this is part of."""
    return _ROOT


@functools.cache
def _code() -> tuple[Sequence[str], str]:
    """Return the files of thunder, and their digest."""
    folders = ["thunder"] if SHIPPED.is_relative_to(_ROOT / "thunder") else ["thunder", *_SHIPPED]
    names = sorted(
        path.relative_to(_ROOT).as_posix()
        for folder in folders
        for path in (_ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "local.yaml"
    )
    return names, digest.of_folder(_ROOT, names)
