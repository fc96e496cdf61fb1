"""A machine behind ssh, as a site describes it."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

Item = TypeVar("Item")

_CONFIG_DIR = "--config-dir"
HERE = "localhost"  # the name of this machine among the hosts of a site


@dataclass(frozen=True)
class Host:
    """A machine that ssh reaches.

    Args:
        name: what the site calls it.
        ssh: what ssh is told: an alias of ~/.ssh/config, or user@machine.
        port: of its sshd, where neither 22 nor the alias's.
        python: the Python there that everything starts with, 3.9 or later.
        workspace: the folder there that is thunder's: environments, inputs, runs.
        environment: a Python there that has what thunder needs, used where none was prepared.
        data: where data sets lie there, by their logical names; elsewhere as on this machine.
        models: where models lie there, likewise.
        site: the name of the site that describes it.
        config_dir: the conf/ folder that has the site, where a command named one.
    """

    name: str
    ssh: str
    port: int | None = None
    python: str = "python3"
    workspace: str = "~/thunder"
    environment: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    site: str = ""
    config_dir: str = ""


def of_site(site: Mapping[str, Any], command: str | None = None) -> dict[str, Host]:
    """Return the hosts of a site by name, each with what is said of every host and of it alone.

    Args:
        command: that chose the site; advice has its `--config-dir`.
    """
    every = site.get("every_host", {})
    words = shlex.split(command or "")
    folder = words[words.index(_CONFIG_DIR) + 1] if _CONFIG_DIR in words else ""
    of_all = {"site": site.get("name", ""), "config_dir": folder}
    return {
        name: Host(name, **{"ssh": name, **every, **own, **of_all})
        for name, own in site.get("hosts", {}).items()
    }


def name_here(site: Mapping[str, Any]) -> str:
    """Return what a site calls this machine: the name of a host of ranks that it does not describe.

    A site as a host is told of it says so itself, by `here`.
    """
    names = (str(one["name"]) for one in site["ranks_on"])
    own = (name for name in names if name not in site.get("hosts", {}))
    return str(site.get("here") or next(own, HERE))


def in_blocks(places: Sequence[Item], ranks: int) -> list[Item]:
    """Return the place of each rank: neighbours share a place before the next one begins."""
    return [places[rank * len(places) // ranks] for rank in range(ranks)]
