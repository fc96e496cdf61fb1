"""YAML as every reader of thunder reads it: one loader, bounds on what a file may ask, its lines.

Scalars mean what they mean to Hydra: `1e-3` is a number, a date is text. What YAML 1.1 reads in
another base or as minutes (`010`, `1:30`) is refused.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from thunder.ground import wording
from thunder.ground.errors import ThunderError, of_os_error
from thunder.ground.places import shown

MOST_BYTES = 1 << 20
MOST_VALUES = 50_000  # with every alias written out
MOST_DEPTH = 50  # libyaml's composer recurses in C: far deeper, and the process is gone

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FLOAT = re.compile(
    r"""(?:[-+]?[0-9]+(?:_[0-9]+)*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9]+(?:_[0-9]+)*[eE][-+]?[0-9]+
    |\.[0-9]+(?:_[0-9]+)*(?:[eE][-+][0-9]+)?
    |[-+]?[0-9]+(?:_[0-9]+)*(?::[0-5]?[0-9])+\.[0-9_]*
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN))\Z""",
    re.VERBOSE,
)
_OTHER_BASE = re.compile(r"[-+]?0[0-7_]+|.*:.*")


class _Loader(_Base):  # type: ignore[misc]  # which of the two is not known before it runs
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:str" and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"found duplicate key {key.value}", problem_mark=key.start_mark
                )
            seen.add(key.value if key.tag == "tag:yaml.org,2002:str" else None)
        return dict(super().construct_mapping(node, deep=deep))


def _number(construct: Callable[[Any, yaml.ScalarNode], Any]) -> Callable[..., Any]:
    def checked(loader: Any, node: yaml.ScalarNode) -> Any:
        value = construct(loader, node)
        if _OTHER_BASE.fullmatch(node.value):
            message = f"YAML reads {node.value} as {value}: write that, or quote it for text"
            raise yaml.MarkedYAMLError(problem=message, problem_mark=node.start_mark)
        return value

    return checked


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_Loader.yaml_implicit_resolvers = {
    first: [row for row in rows if row[0] != "tag:yaml.org,2002:timestamp"]
    for first, rows in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:int", _number(_Base.construct_yaml_int))
_Loader.add_constructor("tag:yaml.org,2002:float", _number(_Base.construct_yaml_float))


def read(path: Path) -> dict[str, Any]:
    """Read one YAML file that holds a mapping; an empty file is an empty one.

    Raises:
        ThunderError: it cannot be read, is not YAML, asks for too much, or is no mapping.
    """
    return read_with_source(path)[0]


def read_with_source(path: Path) -> tuple[dict[str, Any], str]:
    """Read one YAML file as `read` does; also returns its text."""
    value, source = _in_words(path, lambda: _constructed(_checked(path)))
    if value is None:
        return {}, source
    if not isinstance(value, dict):
        kind = "a string" if isinstance(value, str) else type(value).__name__
        raise ThunderError(f"{shown(path)}: a mapping is needed, found {kind}")
    return value, source


def compose(path: Path) -> yaml.Node | None:
    """Read one YAML file as nodes, which know their lines."""
    node: yaml.Node | None = _in_words(path, lambda: yaml.compose(_checked(path), _Loader))
    return node


@cache
def scalar(written: str) -> Any:
    """Return what a plain scalar is read as; a text where YAML has no other meaning for it."""
    loader = _Loader("")
    try:
        tag = loader.resolve(yaml.ScalarNode, written, (True, False))
        return loader.construct_object(yaml.ScalarNode(tag, written))
    except (yaml.YAMLError, ValueError):
        return written
    finally:
        loader.dispose()


def _constructed(source: str) -> tuple[Any, str]:
    return yaml.load(source, _Loader), source


def _in_words(path: Path, read_it: Callable[[], Any]) -> Any:
    place = shown(path)
    try:
        return read_it()
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ThunderError(f"{place}{line}: {error.problem or error.context}") from error
    except OSError as error:
        raise ThunderError(of_os_error(error, place)) from error
    except (ValueError, yaml.YAMLError) as error:
        raise ThunderError(f"{place}: cannot be read: {error}") from error


def _checked(path: Path) -> str:
    """Return the text of a file of which it is certain that reading it is no great work."""
    data, place = path.read_bytes(), shown(path)
    if len(data) > MOST_BYTES:
        raise ThunderError(
            f"{place}: {len(data):,} bytes; a file of YAML has {MOST_BYTES:,} at most"
        )
    try:
        source = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ThunderError(f"{place}:{line}: {wording.not_utf8(error)}") from error
    if odd := wording.CONTROL.search(source):
        line = source.count("\n", 0, odd.start()) + 1
        raise ThunderError(f"{place}:{line}: {wording.printable(odd[0])} is a control character")
    if fault := _excess(source):
        raise ThunderError(f"{place}:{fault}")
    return source


@dataclass
class _Open:
    """A collection whose end has not come yet: the values before it, and the depth it reaches."""

    anchor: str | None
    before: int
    reach: int = 0


def _excess(source: str) -> str | None:
    """Return, with its line, what a document has too much of; nothing is built to find it out."""
    behind: dict[str | None, tuple[int, int]] = {}  # each anchor: values, and how deep they go
    open_now: list[_Open] = []
    count = 0
    events: Iterable[Any] = yaml.parse(source, _Loader)
    for event in events:
        line = event.start_mark.line + 1
        reach = len(open_now)
        if isinstance(event, yaml.AliasEvent):
            if any(one.anchor == event.anchor for one in open_now):
                return f"{line}: *{event.anchor} lies in itself"
            values, depth = behind.get(event.anchor, (1, 0))
            count, reach = count + values, reach + depth
        elif isinstance(event, yaml.ScalarEvent):
            if odd := wording.CONTROL.search(event.value):
                return f"{line}: {wording.printable(odd[0])} is a control character"
            count += 1
            behind[event.anchor] = (1, 0)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_now.append(_Open(event.anchor, count))
            count, reach = count + 1, reach + 1
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = open_now.pop()
            reach = ended.reach
            behind[ended.anchor] = (count - ended.before, reach - len(open_now))
        if open_now:
            open_now[-1].reach = max(open_now[-1].reach, reach)
        if count > MOST_VALUES:
            return f"{line}: more than {MOST_VALUES:,} values, aliases written out"
        if reach > MOST_DEPTH:
            return f"{line}: nested more than {MOST_DEPTH} deep"
    return None
