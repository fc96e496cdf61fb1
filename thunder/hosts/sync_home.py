"""An input brought home from a host that has it whole, where this machine has not."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thunder.ground import moving
from thunder.ground import names as paths
from thunder.ground.errors import ThunderError
from thunder.hosts import environment, fetching, hashing, programs
from thunder.hosts.connection import Connection
from thunder.hosts.far import landing
from thunder.hosts.inputs import of_host
from thunder.jobs import inputs, kinds

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SECONDS = 60.0
# Which files of a folder count, and what it lacks: as the kind of job says it.
_ASK = """
import json, sys
from pathlib import Path
from thunder.jobs import inputs, kinds
place, (reads, lacks) = Path(sys.argv[1]).expanduser(), json.loads(sys.argv[2])
faults = kinds.loaded(lacks)(place) if lacks else []
print(json.dumps([faults, inputs.counted(place, reads)]))
"""


def missing(config: Mapping[str, Any]) -> dict[str, str]:
    """Return what a job reads and this machine has not got whole, with why, by section.

    Args:
        config: of a job whose inputs are not bound to content yet.
    """
    lacks = kinds.KINDS[config["kind"]].lacks
    found = {}
    for name, section in inputs.sources_of(config).items():
        source, place = section["source"], here(section["source"])
        if place is None and ("folder" in source or "hub" in source):
            found[name] = "it is not there"
        elif place is not None and not place.exists():
            found[name] = f"no folder {place}"
        elif place is not None and name in lacks and (faults := kinds.loaded(lacks[name])(place)):
            found[name] = f"{place}: {'; '.join(faults)}"
    return found


def here(source: Mapping[str, Any]) -> Path | None:
    """Return where a source that is not bound to content lies on this machine."""
    if "hub" in source:
        return inputs.hub_snapshot(source["hub"], source["commit"])
    if "folder" in source:
        return Path(os.path.expanduser(source["folder"])).absolute()
    return None


def lacks(way: Connection, config: Mapping[str, Any], name: str) -> list[str]:
    """Return what a host lacks of an input that this machine has not got; nothing if it is whole.

    Args:
        name: the section of the config that reads it.
    """
    path = _path(way, config, name)
    if path is None or way.call("listing", folder=path, names=[]) is None:
        return ["it is not there"]
    return _seen(way, config, name, path)[0]


def bring(
    way: Connection,
    config: Mapping[str, Any],
    name: str,
    show: moving.Show = moving.silent,
) -> None:
    """Bring an input from a host to where this machine has it: what is lacking, hashed, renamed.

    Raises:
        Faults: another file is in the place of one here.
    """
    source = config[name]["source"]
    path = _path(way, config, name)
    if path is None:
        raise ThunderError(f"host {way.host.name}: it is not there", "environment")
    if "hub" in source:
        _bring_snapshot(way, path, source, show)
        return
    names = _seen(way, config, name, path)[1]
    _fetch(way, way.call("folder", path=path), names, here(source) or Path(), show)


def _bring_snapshot(
    way: Connection, path: str, source: Mapping[str, Any], show: moving.Show
) -> None:
    """Bring what a snapshot links to, then its links, then what its commit is called."""
    snapshot = way.call("folder", path=path)
    root, commit = os.path.dirname(os.path.dirname(snapshot)), os.path.basename(snapshot)
    rows = way.call("listing", folder=snapshot)
    target = inputs.hub_folder(source["hub"])
    links, files = {}, []
    for row in rows:
        at = f"snapshots/{commit}/{row['path']}"
        if row["link"] is None:
            files.append(at)
        else:
            links[at] = row["link"]
            files.append(os.path.normpath(os.path.join(os.path.dirname(at), row["link"])))
    paths.check_inside([*links, *files], f"host {way.host.name}: {snapshot}")
    beside = [f"trees/{commit}.json", *([f"refs/{source['commit']}"] if _named(source) else [])]
    noted = [name for name in beside if not (target / name).is_file()]
    there = way.call("listing", folder=root, names=noted)
    _fetch(way, root, [*dict.fromkeys(files)], target, show)
    landing.link(str(target), links)
    _fetch(way, root, [row["path"] for row in there], target)


def _fetch(
    way: Connection,
    source: str,
    names: list[str],
    target: Path,
    show: moving.Show = moving.silent,
) -> None:
    rows = hashing.listed(way, source, names) or ()
    wanted = [row for row in rows if "sha256" in row]
    fetching.fetch(way, source, wanted, target, show=show)


def _named(source: Mapping[str, Any]) -> bool:
    return _COMMIT.fullmatch(source["commit"]) is None


def _path(way: Connection, config: Mapping[str, Any], name: str) -> str | None:
    """Return where a host has an input, if anywhere."""
    section, source = config[name], config[name]["source"]
    own = of_host(way.host, name).get(str(section.get("name", name)))
    if "hub" in source:
        root = f"{way.call('hub_cache')}/models--{source['hub'].replace('/', '--')}"
        said = way.call("read", path=f"{root}/refs/{source['commit']}") if _named(source) else None
        commit = said.strip() if said else source["commit"]
        return f"{root}/snapshots/{commit}" if _COMMIT.fullmatch(commit) else None
    return own or str(source["folder"])


def _seen(
    way: Connection, config: Mapping[str, Any], name: str, path: str
) -> tuple[list[str], list[str]]:
    """Return what a folder there lacks, and which of its files count."""
    kind = kinds.KINDS[config["kind"]]
    how = json.dumps([kind.reads.get(name), kind.lacks.get(name)])
    words = [*environment.command(way), "-c", _ASK, path, how]
    faults, names = programs.answer(way, words, _SECONDS)
    return faults, names
