"""mirror.json: what of a run, and of what it reads, lies on which host, each with its digest."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from thunder.ground import files, markdown, run_files, schema

Artifacts = Sequence[Mapping[str, Any]]


def read(folder: Path) -> dict[str, Any]:
    """Return what of a run lies on which host, by its name; empty where no host has anything."""
    return dict(_content(folder)["hosts"])


def inputs(folder: Path) -> dict[str, Any]:
    """Return what a run reads on which host, by its name."""
    return dict(_content(folder).get("inputs", {}))


def note(folder: Path, host: str, there: str, artifacts: Artifacts) -> None:
    """Write down what a host has of a run, unless it was known.

    Args:
        there: the folder of the run on the host.
    """
    hosts, listed = read(folder), list(artifacts)
    if hosts.get(host, {}).get("artifacts") != listed:
        seen = datetime.now(UTC).isoformat(timespec="seconds")
        hosts[host] = {"folder": there, "seen": seen, "artifacts": listed}
        _write(folder, {**_content(folder), "hosts": hosts})


def note_inputs(folder: Path, host: str, items: Sequence[Mapping[str, Any]]) -> None:
    """Write down what a host has of what a run reads, unless it was known.

    Args:
        items: each with `input`, the section that reads it, `path` there, `sha256` and `commit`.
    """
    known, listed = inputs(folder), list(items)
    if known.get(host) != listed:
        _write(folder, {**_content(folder), "inputs": {**known, host: listed}})


def forget(folder: Path, host: str) -> None:
    """Write down that a host has nothing of a run any more; what the run reads stays there."""
    hosts = read(folder)
    if hosts.pop(host, None):
        _write(folder, {**_content(folder), "hosts": hosts})


def table(folder: Path) -> list[str]:
    """Return what lies where, in Markdown; nothing where all of it lies here alone."""
    hosts, read_there = read(folder), inputs(folder)
    if not hosts and not read_there:
        return []
    return [
        "", "## Where it lies", "",
        *(f"- {name}: {one['folder']}, seen {one['seen']}" for name, one in hosts.items()),
        *(_input_line(name, one) for name, items in read_there.items() for one in items),
        *(_file_table(folder, hosts) if hosts else []),
    ]  # fmt: skip


def _input_line(host: str, item: Mapping[str, Any]) -> str:
    name = "commit" if item["commit"] else "sha256"
    return f"- {host}: {item['input']}, {item['path']}, {name} {item[name]}"


def _file_table(folder: Path, hosts: Mapping[str, Any]) -> list[str]:
    path = folder / run_files.MANIFEST
    here = files.read_json(path)["artifacts"] if path.is_file() else []
    places = {"here": here, **{name: one["artifacts"] for name, one in hosts.items()}}
    rows = ((name, *_digests(places, name)) for name in sorted(_paths(places.values())))
    return [
        "",
        markdown.row(["file", *places]),
        markdown.row(["---"] * (1 + len(places))),
        *map(markdown.row, rows),
    ]


def _digests(places: Mapping[str, Artifacts], name: str) -> Iterable[str]:
    for artifacts in places.values():
        yield next((one["sha256"] for one in artifacts if one["path"] == name), "–")


def _paths(places: Iterable[Artifacts]) -> set[str]:
    return {one["path"] for artifacts in places for one in artifacts}


def _content(folder: Path) -> dict[str, Any]:
    path = folder / run_files.MIRROR
    if not path.is_file():
        return {"hosts": {}}
    content = files.read_json(path)
    schema.check("mirror", content, str(path))
    return dict(content)


def _write(folder: Path, content: Mapping[str, Any]) -> None:
    path = folder / run_files.MIRROR
    schema.check("mirror", content, str(path), cause="crash")
    files.write_json(path, content)
