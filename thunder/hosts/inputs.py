"""What a job reads, and where each of it lies on a host."""

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.ground import digest
from thunder.ground.errors import ThunderError
from thunder.hosts.connection import Connection
from thunder.hosts.host import Host
from thunder.jobs import inputs as bound
from thunder.jobs import kinds

FOLDER = "inputs"  # of a workspace: what the host has at no place of its own
_DIGITS = 12
_ABSOLUTE = ("/", "~/")
_ODD = re.compile(r"""[\s'"$`\\*?]""")  # a shell there would read them: see transfer
_ODD_SHOWN = r"""' " $ ` \ * ?"""


@dataclass(frozen=True)
class Input:
    """A section of a job that reads something.

    Args:
        name: of the section: data, model.
        label: what the site calls it.
        source: the content it is bound to.
        here: the folder or file on this machine; None for a stand-in that was not built yet.
        reads: the function that says which files of the folder count, None: see `counted`.
        lacks: the function that says what a folder lacks, None: its digest says it all.
    """

    name: str
    label: str
    source: Mapping[str, Any]
    here: Path | None
    reads: str | None
    lacks: str | None

    @property
    def cause(self) -> Any:
        """The cause class of its faults."""
        return "data" if self.name == "data" else "model"

    def files(self) -> dict[str, Path]:
        """Return the files that count, by their names in the folder."""
        if self.here is None or self.here.is_file():
            return {} if self.here is None else {self.here.name: self.here}
        return {name: self.here / name for name in bound.counted(self.here, self.reads)}

    @functools.cached_property
    def digest(self) -> str:
        """The digest of its content, which need not be that of a hub model's commit."""
        if "digest" in self.source:
            return str(self.source["digest"])
        return digest.of_value({name: digest.of_file(path) for name, path in self.files().items()})


@dataclass(frozen=True)
class Place:
    """Where an input lies on a host.

    Args:
        path: its `~` is the host's.
        is_ours: whether it is thunder's own place, which is filled without asking.
        hub: of a hub's snapshot, the folder of its repository in the cache there.
    """

    path: str
    is_ours: bool = False
    hub: str | None = None


def of_job(config: Mapping[str, Any], here: Mapping[str, Path] | None = None) -> list[Input]:
    """Return what a job reads from disk, data first.

    Args:
        here: where inputs that were built in place lie on this machine, by section.
    """
    paths = {**config["runtime"]["paths"], **(here or {})}
    kind = kinds.KINDS[config["kind"]]
    found = [
        Input(
            name, str(section.get("name", name)), section["source"],
            Path(paths[name]) if name in paths else None,
            kind.reads.get(name), kind.lacks.get(name),
        )
        for name, section in bound.sources_of(config).items()
        if name in paths or "recipe" in section["source"]
    ]  # fmt: skip
    return sorted(found, key=lambda item: item.name != "data")


def place(way: Connection, item: Input, site: Mapping[str, Any]) -> Place:
    """Return where an input lies on a host, whether it is there or not.

    A path of its own for the host comes first, then the folder that the site names, then the hub's
    cache there, and last thunder's own folder.

    Raises:
        ThunderError: files cannot be brought to a path like that.
    """
    chosen = _place(way, item, site)
    if _ODD.search(chosen.path):
        section = f"{'data' if item.name == 'data' else 'models'}.{item.label}"
        raise ThunderError(
            f"host {way.host.name}: {item.name} {item.label} has its place there at "
            f"{chosen.path!r}, and files travel to no path with a blank or one of {_ODD_SHOWN}: "
            f"name another by hosts.{way.host.name}.{section} of the site, a link to it will do"
        )
    return chosen


def _place(way: Connection, item: Input, site: Mapping[str, Any]) -> Place:
    said = site["data" if item.name == "data" else "models"].get(item.label, {})
    if _is_of_site(item, said):
        own = of_host(way.host, item.name).get(item.label)
        if own or str(said.get("folder", "")).startswith(_ABSOLUTE):
            return Place(own or said["folder"])
    if "hub" in item.source:
        root = f"{way.call('hub_cache')}/models--{item.source['hub'].replace('/', '--')}"
        return Place(f"{root}/snapshots/{item.source['commit']}", hub=root)
    folder = f"{way.host.workspace}/{FOLDER}/{item.digest[:_DIGITS]}"
    is_file = item.here is not None and item.here.is_file()
    return Place(f"{folder}/{item.here.name}" if is_file and item.here else folder, is_ours=True)


def of_host(host: Host, name: str) -> Mapping[str, str]:
    """Return the paths that a site says of a host alone, for what a section reads."""
    return host.data if name == "data" else host.models


def _is_of_site(item: Input, said: Mapping[str, Any]) -> bool:
    """Say whether an input is what the site has under its name: a word may name another one."""
    if "folder" in said:
        return Path(os.path.expanduser(said["folder"])).absolute() == item.here
    if "hub" in said:
        return bool(said["hub"] == item.source.get("hub"))
    return not said
