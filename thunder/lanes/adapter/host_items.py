"""What lies on which host of a run, item by item, each with its digest."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thunder.ground import digest
from thunder.lanes.adapter.context import Context
from thunder.lanes.adapter.training import state
from thunder.training import checkpoints, mirror

_READ = ("data", "model")  # the sections, in the order of their rows
_NOTED = ("path", "sha256", "commit")
Copies = Mapping[str, Mapping[str, str]]


def of(context: Context, step: int, copies: Copies) -> list[dict[str, Any]]:
    """Return the rows of the report for this machine and each host that has ranks.

    Args:
        step: of the checkpoint.
        copies: by host that has the checkpoint, the digest of each of its files.
    """
    return [
        {
            "host": host["host"],
            "ranks": host["ranks"],
            "items": [*_inputs(context, host), *_made(host, step, copies.get(host["host"], {}))],
        }
        for host in context.hosts
    ]


def note_inputs(context: Context) -> None:
    """Write into mirror.json what each host behind ssh that has ranks has of what they read."""
    for host in context.hosts:
        if host["host"] != context.host:
            rows = zip(_READ, _inputs(context, host), strict=True)
            noted = [{"input": name, **{k: row[k] for k in _NOTED}} for name, row in rows]
            mirror.note_inputs(context.folder, host["host"], noted)


def _inputs(context: Context, host: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return what the ranks read; the preflight held each host to these digests."""
    paths = {"data set": host["data_set"], "model": host["model"]}
    for name, (item, path) in zip(_READ, paths.items(), strict=True):
        commit = context.config[name]["source"].get("commit")
        yield _item(item, path, context.digests.get(name), commit)


def _made(
    host: Mapping[str, Any], step: int, digests: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    if host["run_folder"] and digests:
        folder = checkpoints.folder_of(Path(host["run_folder"]), step)
        yield _item("checkpoint", str(folder), digest.of_value(dict(digests)))
        yield _item("adapter", str(folder / state.ADAPTERS), digests[state.ADAPTERS])


def _item(item: str, path: str, sha256: str | None, commit: str | None = None) -> dict[str, Any]:
    return {"item": item, "path": path, "sha256": sha256, "commit": commit}
