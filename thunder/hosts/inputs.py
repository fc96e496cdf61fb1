"""Where what a job reads lies on a host; brought there where the host has it nowhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thunder.ground import digest
from thunder.hosts import delivery, environment
from thunder.hosts.connection import Connection

_ID = 12  # digits of a digest in the name of a folder
_HUB = "~/.cache/huggingface/hub"


def place_of(way: Connection, config: Mapping[str, Any], name: str) -> str:
    """Return the absolute folder of a host that has an input of a job.

    Args:
        config: with where each input lies here as `runtime.paths`.
        name: of the section that reads it: `model`, `data`.
    """
    section, runtime = config[name], config["runtime"]
    bound = way.host.models if name == "model" else way.host.data
    site = runtime["site"]["models" if name == "model" else "data"].get(section["name"], {})
    source = section["source"]
    for path in (bound.get(section["name"]), site.get("folder"), _snapshot(source)):
        if path and delivery.is_there(way, path):
            return str(way.call("placed", path=path))
    return _brought(way, Path(runtime["paths"][name]), source)


def _snapshot(source: Mapping[str, Any]) -> str | None:
    if "hub" not in source:
        return None
    return f"{_HUB}/models--{source['hub'].replace('/', '--')}/snapshots/{source['commit']}"


def _brought(way: Connection, here: Path, source: Mapping[str, Any]) -> str:
    names = digest.visible_files(here)
    content = source["digest"] if "digest" in source else digest.of_folder(here, names)
    target = f"{environment.workspace(way)}/inputs/{content[:_ID]}"
    delivery.bring(way, here, names, target)
    return target
