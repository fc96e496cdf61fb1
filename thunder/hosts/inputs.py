"""Where what a job reads lies on a host; brought there where the host has it nowhere."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thunder.ground import digest
from thunder.hosts import delivery, environment
from thunder.hosts.connection import Connection

_ID = 12  # digits of a digest in the name of a folder
_HUB = "~/.cache/huggingface/hub"


def place_of(way: Connection, config: Mapping[str, Any], name: str) -> str:
    """Return the absolute path on a host of what a section of a job reads.

    Args:
        config: with where each input lies here as `runtime.paths`.
        name: of the section: `model`, `data`.
    """
    for path in _known(way, config, name):
        if delivery.is_there(way, path):
            return str(way.call("folder", path=path))
    here = Path(config["runtime"]["paths"][name])
    if here.is_file():
        target = _brought(way, here.parent, [here.name], digest.of_file(here))
        return f"{target}/{here.name}"
    names = digest.visible_files(here)
    source = config[name]["source"]
    content = source["digest"] if "digest" in source else digest.of_folder(here, names)
    return _brought(way, here, names, content)


def _known(way: Connection, config: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield where the host may have it: bound for it, bound for all, in the hub's cache."""
    section, site = config[name], config["runtime"]["site"]
    label, source = section.get("name", name), section["source"]
    for kind, bound in (("models", way.host.models), ("data", way.host.data)):
        folder = site[kind].get(label, {}).get("folder")
        yield from (path for path in (bound.get(label), folder) if path)
    if "hub" in source:
        repository = f"models--{source['hub'].replace('/', '--')}"
        yield f"{_HUB}/{repository}/snapshots/{source['commit']}"


def _brought(way: Connection, here: Path, names: list[str], content: str) -> str:
    target = f"{environment.workspace(way)}/inputs/{content[:_ID]}"
    delivery.bring(way, here, names, target)
    return target
