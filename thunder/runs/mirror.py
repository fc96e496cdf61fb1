"""mirror.json: what of a run lies on which host, with its digest, beside what lies here."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from thunder.ground import files, markdown, run_files, schema

Artifacts = Sequence[Mapping[str, Any]]


def read(folder: Path) -> dict[str, Any]:
    """Return what lies on which host, by its name; empty where no host has anything."""
    path = folder / run_files.MIRROR
    if not path.is_file():
        return {}
    content = files.read_json(path)
    schema.check("mirror", content, str(path))
    return dict(content["hosts"])


def note(folder: Path, host: str, there: str, artifacts: Artifacts) -> None:
    """Write down what a host has of a run, unless it was known.

    Args:
        there: the folder of the run on the host.
    """
    hosts, listed = read(folder), list(artifacts)
    if hosts.get(host, {}).get("artifacts") != listed:
        seen = datetime.now(UTC).isoformat(timespec="seconds")
        _write(folder, {**hosts, host: {"folder": there, "seen": seen, "artifacts": listed}})


def forget(folder: Path, host: str) -> None:
    """Write down that a host has nothing of a run any more."""
    hosts = read(folder)
    if hosts.pop(host, None):
        _write(folder, hosts)


def table(folder: Path) -> list[str]:
    """Return which file lies where, in Markdown; nothing where all of it lies here alone."""
    hosts = read(folder)
    if not hosts:
        return []
    path = folder / run_files.MANIFEST
    here = files.read_json(path)["artifacts"] if path.is_file() else []
    places = {"here": here, **{name: one["artifacts"] for name, one in hosts.items()}}
    rows = ((name, *_digests(places, name)) for name in sorted(_paths(places.values())))
    return [
        "", "## Where it lies", "",
        *(f"- {name}: {one['folder']}, seen {one['seen']}" for name, one in hosts.items()), "",
        markdown.row(["file", *places]),
        markdown.row(["---"] * (1 + len(places))),
        *map(markdown.row, rows),
    ]  # fmt: skip


def _digests(places: Mapping[str, Artifacts], name: str) -> Iterable[str]:
    for artifacts in places.values():
        yield next((one["sha256"] for one in artifacts if one["path"] == name), "–")


def _paths(places: Iterable[Artifacts]) -> set[str]:
    return {one["path"] for artifacts in places for one in artifacts}


def _write(folder: Path, hosts: Mapping[str, Any]) -> None:
    path = folder / run_files.MIRROR
    schema.check("mirror", {"hosts": hosts}, str(path), cause="crash")
    files.write_json(path, {"hosts": hosts})
