"""Where a value of a config was set: file and line, or the word of the command line."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml


def of_files(layers: list[tuple[Path, str]]) -> dict[tuple[str, ...], str]:
    """Return `file:line` for every key of the merged files; the last file that sets a key wins.

    Args:
        layers: files in the order they are merged, each with the package it goes to.
    """
    found: dict[tuple[str, ...], str] = {}
    raw: dict[tuple[str, ...], Any] = {}
    for path, package in layers:
        prefix = tuple(part for part in package.split(".") if part and part != "_global_")
        for key, line, value in lines(path):
            if key[0] != "defaults":
                found[prefix + key] = f"{shown(path)}:{line}"
                raw[prefix + key] = value
    return found | _through_references(found, raw)


def find(origins: Mapping[tuple[str, ...], str], path: tuple[Any, ...]) -> str | None:
    """Return the origin of a key, or of the nearest section around it."""
    key = tuple(str(part) for part in path if not isinstance(part, int))
    while key:
        if key in origins:
            return origins[key]
        key = key[:-1]
    return None


def lines(path: Path) -> Iterator[tuple[tuple[str, ...], int, Any]]:
    """Yield every key of a YAML file with its line, counted from 1, and its raw scalar."""
    with path.open(encoding="utf-8") as stream:
        node = yaml.compose(stream, yaml.SafeLoader)
    if isinstance(node, yaml.MappingNode):
        yield from _keys(node, ())


def shown(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)


def _keys(
    node: yaml.MappingNode, above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], int, Any]]:
    for key, value in node.value:
        path = (*above, str(key.value))
        yield (
            path,
            key.start_mark.line + 1,
            value.value if isinstance(value, yaml.ScalarNode) else None,
        )
        if isinstance(value, yaml.MappingNode):
            yield from _keys(value, path)


def _through_references(
    found: Mapping[tuple[str, ...], str], raw: Mapping[tuple[str, ...], Any]
) -> dict[tuple[str, ...], str]:
    """Give the keys behind `${a.b}` the origins of what lies under a.b."""
    more = {}
    for key, value in raw.items():
        if isinstance(value, str) and value.startswith("${") and value.endswith("}"):
            target = tuple(value[2:-1].split("."))
            for other, place in found.items():
                if other[: len(target)] == target and other != target:
                    more[key + other[len(target) :]] = place
    return more
