"""What has to lie on a host for an input to be whole there: files, links, and what is written."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from thunder.hosts.inputs import Input, Place

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Goods:
    """The files of an input by their places there, relative to one folder.

    Args:
        target: the folder there.
        files: where each file really lies on this machine; a link would be sent as one.
        sha256: of those whose name says it.
        digest: of all files, from the sha256 of each; None where nothing is known of them together.
        links: what each link there leads to.
        notes: files of which the host may have its own: one that differs stays, and is told.
    """

    target: str
    files: Mapping[str, Path]
    sha256: Mapping[str, str] = field(default_factory=dict)
    digest: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    notes: frozenset[str] = frozenset()

    @property
    def root(self) -> str:
        """The folder here that all files are below."""
        return os.path.commonpath([*{os.path.dirname(path) for path in self.files.values()}])


def of(item: Input, place: Place) -> Goods:
    """Return what an input is made of at its place on a host."""
    if place.hub is not None and item.here is not None:
        return _of_hub(item.here, place.hub)
    files = _resolved(item.files())
    known = {name: path.name for name, path in files.items() if _is_blob(path)}
    if item.here is not None and item.here.is_file():
        return Goods(os.path.dirname(place.path), files, known)
    return Goods(place.path, files, known, None if "hub" in item.source else item.digest)


def _resolved(files: Mapping[str, Path]) -> dict[str, Path]:
    """Return where files really lie: their folders looked at once, as there may be thousands."""
    folders = {parent: parent.resolve() for parent in {path.parent for path in files.values()}}
    return {
        name: path.resolve() if path.is_symlink() else folders[path.parent] / path.name
        for name, path in files.items()
    }


def _of_hub(snapshot: Path, target: str) -> Goods:
    """Return a snapshot as the hub's client lays it out: blobs, links to them, names of commits."""
    root = snapshot.parent.parent
    files: dict[str, Path] = {}
    links: dict[str, str] = {}
    for path in sorted(path for path in snapshot.rglob("*") if not path.is_dir()):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            blob = f"blobs/{path.resolve().name}"
            links[name] = os.path.relpath(root / blob, path.parent)
            files[blob] = path.resolve()
        else:
            files[name] = path
    for path in (root / "trees" / f"{snapshot.name}.json", *_references(root, snapshot.name)):
        if path.is_file():
            files[path.relative_to(root).as_posix()] = path
    sha256 = {name: path.name for name, path in files.items() if _is_blob(path)}
    notes = frozenset(name for name in files if not name.startswith(("blobs/", "snapshots/")))
    return Goods(target, files, sha256, None, links, notes)


def _references(root: Path, commit: str) -> list[Path]:
    """Return the branches and tags that stand for a commit."""
    named = [path for path in (root / "refs").rglob("*") if path.is_file()]
    return [path for path in named if path.read_text(encoding="utf-8").strip() == commit]


def _is_blob(path: Path) -> bool:
    """Say whether a file is one of the hub's, named by the digest of its content."""
    return path.parent.name == "blobs" and _SHA256.fullmatch(path.name) is not None
