"""What thunder is run with on a host: this very code, and a Python that has its packages."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from thunder.ground import digest
from thunder.ground.command import line, spelt
from thunder.ground.errors import Cause, ThunderError
from thunder.ground.places import SHIPPED
from thunder.hosts import delivery, programs, requirements
from thunder.hosts.connection import Connection, Lost
from thunder.hosts.host import Host
from thunder.hosts.requirements import Part

_ROOT = Path(__file__).resolve().parent.parent.parent
_SHIPPED = ("conf", "matrices", "schemas")
_ASK_SECONDS = 60.0
ID = 12  # digits of a digest in the name of a folder


def command(way: Connection, extras: Sequence[str] = ()) -> list[str]:
    """Return the words that this very code is run with there: a module or `-c` follows them.

    The code is brought if it is not there yet: what is changed here is never run as it was.

    Args:
        extras: of thunder, whose packages are needed as well.

    Raises:
        ThunderError: the host has no Python with what thunder needs.
    """
    python = python_of(way, extras)
    return ["env", f"PYTHONPATH={bring_code(way)}", python]


def python_of(way: Connection, extras: Sequence[str] = ()) -> str:
    """Return the Python of a host that has what thunder needs, by its absolute path.

    One that was prepared for these very versions comes before the one that the site names.

    Raises:
        ThunderError: there is none, and what to do.
    """
    host, parts = way.host, requirements.parts(extras)
    again = prepare_command(host, extras)
    if folder := prepared(way, parts):
        if reason := fault(way, python_in(folder), parts):
            text = f"{folder} cannot run thunder any more: {reason}; {again}"
            raise ThunderError(f"host {host.name}: {text}", "environment")
        return python_in(folder)
    if host.environment is None:
        text = f"host {host.name} has nothing that thunder can be run with yet: {again}"
        raise ThunderError(text, "environment")
    if reason := fault(way, host.environment, parts):
        raise ThunderError(
            f"host {host.name}: hosts.{host.name}.environment of the site, {host.environment}, "
            f"cannot run thunder: {reason}",
            "environment",
        )
    # As it is started by others, that read no `~`.
    return str(way.call("placed", path=host.environment))


def prepare_command(host: Host, extras: Sequence[str] = ()) -> str:
    """Return the command that makes an environment on a host."""
    of_site = [f"site={spelt(host.site)}"] if host.site else []
    with_extras = ["--extra", ",".join(extras)] if extras else []
    flags = ["--config-dir", host.config_dir] if host.config_dir else []
    return line("thunder", "hosts", "prepare", host.name, *of_site, *with_extras, *flags)


def prepared(way: Connection, parts: Mapping[str, Part]) -> str | None:
    """Return the folder of an environment that was made of these parts, in these versions."""
    for row in way.call("environments", folder=f"{way.host.workspace}/env"):
        if all(row["parts"].get(name) == part.digest for name, part in parts.items()):
            return str(row["path"])
    return None


def python_in(folder: str) -> str:
    """Return the Python of an environment."""
    return f"{folder}/bin/python"


def fault(way: Connection, python: str, parts: Mapping[str, Part]) -> str:
    """Say why a Python there cannot run thunder; nothing where it can."""
    try:
        programs.output(way, [python, "-c", requirements.script(parts)], _ASK_SECONDS)
    except programs.Failed as error:
        return error.reason
    return ""


def unmade(way: Connection, reason: str) -> ThunderError:
    """Return what is told where no environment can be made."""
    name = way.host.name
    return ThunderError(
        f"host {name}: no environment could be made: {reason}; or name a Python there that has "
        f"what thunder needs by hosts.{name}.environment of the site",
        "environment",
    )


def bring_code(way: Connection) -> str:
    """Have this very code on a host, in a folder named after its content; returns the folder."""
    names, content = _code()
    target = f"{workspace(way)}/code/{content[:ID]}"
    delivery.bring(way, _ROOT, names, target)
    return target


def workspace(way: Connection) -> str:
    """Return the absolute path of thunder's folder on a host, which is there."""
    try:
        return str(way.call("folder", path=way.host.workspace))
    except Lost:
        raise
    except ThunderError as error:
        raise no_workspace(way, str(error), error.cause) from error


def no_workspace(way: Connection, reason: str, cause: Cause = "write") -> ThunderError:
    """Return what is told where thunder's folder on a host cannot be had."""
    host = way.host
    place = f"hosts.{host.name}.workspace of the site, {host.workspace}"
    return ThunderError(f"{reason}; {place}, must be a folder, and yours to write in", cause)


def code_digest() -> str:
    """Return the digest of the code that this is part of."""
    return _code()[1]


def code_folder() -> Path:
    """Return the folder of the code that this is part of."""
    return _ROOT


@functools.cache
def _code() -> tuple[Sequence[str], str]:
    """Return the files of thunder, and their digest."""
    is_wheel = SHIPPED.is_relative_to(_ROOT / "thunder")
    folders = ["thunder"] if is_wheel else ["thunder", *_SHIPPED]
    # Beside the code, what it needs: a host may be one that has to ask others.
    needs = _ROOT.glob("thunder-*.dist-info/METADATA" if is_wheel else "pyproject.toml")
    inner = (path for folder in folders for path in (_ROOT / folder).rglob("*"))
    names = sorted(
        path.relative_to(_ROOT).as_posix()
        for path in [*inner, *needs]
        if path.is_file() and "__pycache__" not in path.parts and path.name != "local.yaml"
    )
    return names, digest.of_folder(_ROOT, names)
