"""Where a value of a config was set: file and line, or the word of the command line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from thunder.config import yaml_file
from thunder.config.plain import plain
from thunder.ground import wording
from thunder.ground.places import shown as shown

Key = tuple[str | int, ...]
_SWEEP = re.compile(r"\s*(range|choice|interval|glob|shuffle|sort|tag)\(")  # functions of Hydra


class Place(str):
    """A place, and what is written there of a value: a scalar of YAML, or a word after its `=`."""

    written: str

    @classmethod
    def of(cls, place: str, written: str) -> "Place":
        """Return a place with what is written there."""
        made = cls(place)
        made.written = written
        return made


Origins = dict[Key, str]


def of_files(layers: Sequence[tuple[Path, str]]) -> Origins:
    """Return `file:line` for every key of the merged files; the last file that sets a key wins.

    Args:
        layers: files in the order they are merged, each with the package it goes to.
    """
    origins: Origins = {}
    targets: dict[Key, str] = {}
    for key, place, value in _keys_of(layers):
        if target := _target(value):
            inside = [other for other in origins if other[: len(key)] == key]
            origins = {other: at for other, at in origins.items() if other not in inside}
            targets[key] = target
        else:
            targets.pop(key, None)
        origins[key] = place
    # The reference lies under its key, so that what replaces the section takes it away as well.
    return origins | {(*key, target): origins[key] for key, target in targets.items()}


def scalars(layers: Sequence[tuple[Path, str]]) -> dict[Key, str]:
    """Return the scalar, as it is written, that each key of the merged files has in the last."""
    values: dict[Key, str] = {}
    for key, _, value in _keys_of(layers):
        for other in [other for other in values if value is not None and other[: len(key)] == key]:
            del values[other]
        for end in range(1, len(key)):  # a scalar that is made a section
            values.pop(key[:end], None)
        if value is not None:
            values[key] = value
    return values


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
    """Return the origin of a key, of what was set inside it, or of the section around it.

    What lies behind a reference `${a.b}` has the origin of what lies under a.b.
    """
    key = tuple(part if isinstance(part, int) else str(part) for part in path)
    return _find(origins, key, _references_of(origins))


def lines(path: Path) -> Iterator[tuple[Key, int, Any]]:
    """Yield every key of a YAML file with its line, counted from 1, and its raw scalar."""
    yield from _keys(yaml_file.compose(path), ())


def misread(place: str | None, value: Any, wants: str) -> str:
    """Return how to write what was read as something else, or nothing when it was not.

    Args:
        value: what was read.
        wants: text or list, what is right there.
    """
    if isinstance(value, str) and _SWEEP.match(value):
        return "; that is for the command line, with -m: in a file, axes have lists, as [1, 2, 3]"
    written = getattr(place, "written", "")
    if wants == "list":
        is_sweep = "," in written and written[0] not in "[{"
        return f"; a list has brackets: [{written if is_sweep else value}]"
    if wants != "text" or isinstance(value, str | list | dict):
        return ""
    # A text in quotes would have stayed text: what reads as the value is how it is written.
    words = [written, *re.split(r"[\s,:{}\[\]]+", written)]
    word = next((w for w in words if repr(plain(yaml_file.scalar(w))) == repr(value)), None)
    kind = "null" if value is None else "true or false" if isinstance(value, bool) else "a number"
    return f"; {word} is read as {kind}: for text, quote it" if word else ""


def told(
    path: Key, message: str, origins: Mapping[Key, str], config: Any = None, wants: str = ""
) -> str:
    """Return a fault of a config with its place and its key.

    Args:
        wants: what is right there, where it may be that something else was read.
    """
    place = find(origins, path)
    hint = ""
    with suppress(KeyError, IndexError, TypeError):  # what is missing was not read as anything
        hint = misread(place, wording.at(config, path), wants)
    words = [*([place] if place else []), *([wording.dotted(path)] if path else []), message]
    return ": ".join(words) + hint


def _keys(node: yaml.Node | None, above: Key) -> Iterator[tuple[Key, int, Any]]:
    pairs: list[tuple[str | int, int, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        pairs = [(str(key.value), key.start_mark.line, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        pairs = [(index, value.start_mark.line, value) for index, value in enumerate(node.value)]
    for name, line, value in pairs:
        yield (*above, name), line + 1, value.value if isinstance(value, yaml.ScalarNode) else None
        yield from _keys(value, (*above, name))


def _keys_of(layers: Sequence[tuple[Path, str]]) -> Iterator[tuple[Key, str, Any]]:
    for path, package in layers:
        prefix = tuple(part for part in package.split(".") if part and part != "_global_")
        for key, line, value in lines(path):
            if key[0] != "defaults":
                yield prefix + key, Place.of(f"{shown(path)}:{line}", str(value)), value


def _target(value: Any) -> str | None:
    is_reference = isinstance(value, str) and re.fullmatch(r"\$\{[\w.]+\}", value)
    return str(value) if is_reference else None


def _references_of(origins: Mapping[Key, str]) -> dict[Key, Key]:
    """Return the keys that are references, with the keys that they read."""
    return {
        key[:-1]: tuple(target[2:-1].split("."))
        for key in origins
        if key and (target := _target(key[-1]))
    }


def _find(origins: Mapping[Key, str], key: Key, references: Mapping[Key, Key]) -> str | None:
    if key in origins or not key:
        return origins.get(key) if key else None
    for other in origins:
        if other[: len(key)] == key:
            return origins[other]
    for end in range(len(key) - 1, 0, -1):
        above = key[:end]
        if above in references:
            left = {other: target for other, target in references.items() if other != above}
            behind = _find(origins, references[above] + key[end:], left)
            return behind or origins.get(above)
        if above in origins:
            return origins[above]
    return None
