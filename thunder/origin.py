"""Where a value of a config was set: file and line, or the word of the command line."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Key = tuple[str | int, ...]
Origins = dict[Key, str]


def of_files(layers: Sequence[tuple[Path, str]]) -> Origins:
    """Return `file:line` for every key of the merged files; the last file that sets a key wins.

    Args:
        layers: files in the order they are merged, each with the package it goes to.
    """
    found: Origins = {}
    raw: dict[Key, Any] = {}
    for path, package in layers:
        prefix = tuple(part for part in package.split(".") if part and part != "_global_")
        for key, line, value in lines(path):
            if key[0] != "defaults":
                found[prefix + key] = f"{shown(path)}:{line}"
                raw[prefix + key] = value
    return found | _through_references(found, raw)


def put(origins: Origins, key: Key, place: str) -> None:
    """Say that a place set a key; what lay under it before is gone."""
    for other in [other for other in origins if other[: len(key)] == key]:
        del origins[other]
    for end in range(1, len(key)):  # a value that is made a section is set by the same place
        above = key[:end]
        if above in origins and not any(o[:end] == above and o != above for o in origins):
            origins[above] = place
    origins[key] = place


def find(origins: Mapping[Key, str], path: Sequence[Any]) -> str | None:
    """Return the origin of a key, of what was set inside it, or of the section around it."""
    key = tuple(part if isinstance(part, int) else str(part) for part in path)
    if key and key not in origins:
        inside = next((other for other in origins if other[: len(key)] == key), key)
        key = inside
    while key:
        if key in origins:
            return origins[key]
        key = key[:-1]
    return None


def lines(path: Path) -> Iterator[tuple[Key, int, Any]]:
    """Yield every key of a YAML file with its line, counted from 1, and its raw scalar."""
    with path.open(encoding="utf-8") as stream:
        node = yaml.compose(stream, yaml.SafeLoader)
    yield from _keys(node, ())


def shown(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)


def _keys(node: yaml.Node | None, above: Key) -> Iterator[tuple[Key, int, Any]]:
    pairs: list[tuple[str | int, int, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        pairs = [(str(key.value), key.start_mark.line, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        pairs = [(index, value.start_mark.line, value) for index, value in enumerate(node.value)]
    for name, line, value in pairs:
        yield (*above, name), line + 1, value.value if isinstance(value, yaml.ScalarNode) else None
        yield from _keys(value, (*above, name))


def _through_references(found: Mapping[Key, str], raw: Mapping[Key, Any]) -> Origins:
    """Give the keys behind `${a.b}` the origins of what lies under a.b."""
    more = {}
    for key, value in raw.items():
        if isinstance(value, str) and value.startswith("${") and value.endswith("}"):
            target = tuple(value[2:-1].split("."))
            for other, place in found.items():
                if other[: len(target)] == target and other != target:
                    more[key + other[len(target) :]] = place
    return more
