"""A composed config whose values can still be set: its sections, and what refers to what."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from thunder.config.plain import plain
from thunder.ground.errors import ThunderError, first_line

_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*(?:\.\w+)*)\}")
# A reference without a resolver or another reference inside, in any of OmegaConf's spellings.
_ONE_KEY = re.compile(r"\$\{\s*\.*(\w+|\[\w+\])(?:\.\w+|\[\w+\])*\s*\}")


@dataclass(frozen=True)
class _Section:
    """A section in which keys are set, and what it became for the values met so far."""

    name: str
    paths: Mapping[str, tuple[str, ...]]  # by dotted key
    filled: dict[str, Any] = field(default_factory=dict)  # by the values, as repr tells them apart


@dataclass(frozen=True)
class Template:
    """A composed config whose values can still be set, any number of times."""

    raw: dict[str, Any]  # interpolations unresolved
    resolved: dict[str, Any]
    references: tuple[tuple[str, ...], ...]  # keys that some interpolation reads
    # By the keys that are set, which all cells of a matrix share; None where a reference reads one.
    sections: dict[tuple[str, ...], list[_Section] | None] = field(default_factory=dict)

    def fill(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return a config with values set; sections are shared between configs: never edit it."""
        keys = tuple(values)
        if keys not in self.sections:
            self.sections[keys] = self._sections_of(keys)
        sections = self.sections[keys]
        return self._resolve_again(values) if sections is None else self._fill(sections, values)

    def _sections_of(self, keys: tuple[str, ...]) -> list[_Section] | None:
        paths = {key: tuple(key.split(".")) for key in keys}
        if any(_overlap(path, read) for path in paths.values() for read in self.references):
            return None
        names = dict.fromkeys(path[0] for path in paths.values())
        return [
            _Section(name, {key: path for key, path in paths.items() if path[0] == name})
            for name in names
        ]

    def _fill(self, sections: list[_Section], values: Mapping[str, Any]) -> dict[str, Any]:
        """Set values in the resolved config; cells that set a section alike share one object."""
        config = dict(self.resolved)
        for section in sections:
            told = repr([values[key] for key in section.paths])
            if told not in section.filled:
                inner = {path: values[key] for key, path in section.paths.items()}
                section.filled[told] = put_all(self.resolved, inner)[section.name]
            config[section.name] = section.filled[told]
        return config

    def _resolve_again(self, values: Mapping[str, Any]) -> dict[str, Any]:
        paths = {tuple(key.split(".")): value for key, value in values.items()}
        early = {p: v for p, v in paths.items() if not self._behind_reference(p)}
        late = {p: v for p, v in paths.items() if p not in early}
        return put_all(_resolve(put_all(self.raw, early)), late)

    def _behind_reference(self, path: tuple[str, ...]) -> bool:
        node: Any = self.raw
        for part in path[:-1]:
            node = node.get(part) if isinstance(node, dict) else None
            if isinstance(node, str) and "${" in node:
                return True
        return False


def of_raw(raw: dict[str, Any]) -> Template:
    """Return the template of a config whose references are not resolved yet.

    Raises:
        Unresolved: a reference leads nowhere.
    """
    return Template(raw, _resolve(raw), tuple(_references(raw)))


def put_all(config: dict[str, Any], paths: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return a config with values set."""
    for path, value in paths.items():
        config = _put(config, path, value)
    return config


def _put(config: Any, path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return a config with one value set; only the mappings on the way are copied."""
    here = dict(config) if isinstance(config, dict) else {}
    head, *rest = path
    here[head] = _put(here.get(head), tuple(rest), value) if rest else value
    return here


def references_in(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every text that has a reference in it, with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from references_in(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from references_in(item, path)
    elif isinstance(value, str) and "${" in value:
        yield path, value


def may_be_read(text: str) -> bool:
    """Say whether a text refers to plain keys alone, and of runtime to the site alone."""
    if "${" in _ONE_KEY.sub("", text):
        return False
    names = [re.findall(r"\w+", reference[0]) for reference in _ONE_KEY.finditer(text)]
    return all(key[0] != "runtime" or (key[1:2] == ["site"] and key[2:]) for key in names)


class Unresolved(ThunderError):
    """A key whose reference leads nowhere."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _resolve(raw: dict[str, Any]) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

    try:
        resolved = OmegaConf.to_container(OmegaConf.create(raw), resolve=True)
    except InterpolationKeyError as error:
        raise Unresolved(str(error.full_key), _no_target(error, raw)) from error
    except (OmegaConfBaseException, RecursionError) as error:
        raise Unresolved(str(getattr(error, "full_key", "") or "$"), first_line(error)) from error
    result = plain(resolved)
    assert isinstance(result, dict)
    return result


def _no_target(error: Exception, raw: Mapping[str, Any]) -> str:
    key = re.search(r"Interpolation key '([^']+)'", str(error))
    missing = key[1] if key else first_line(error)
    if not missing.startswith("runtime.site."):
        return f"it reads {missing!r}, and there is no such key"
    runtime = raw.get("runtime")
    site = runtime.get("site") if isinstance(runtime, dict) else None
    name = site.get("name") if isinstance(site, dict) else None
    return (
        f"site {name!r} does not say what {missing!r} is; "
        "add it to the site, or choose another site or option"
    )


def _references(raw: Any) -> Iterator[tuple[str, ...]]:
    """Yield the keys that interpolations read; the empty one, which is all, for unusual forms."""
    for _, text in references_in(raw):
        yield from (tuple(match.split(".")) for match in _REFERENCE.findall(text))
        if "${" in _REFERENCE.sub("", text):
            yield ()


def _overlap(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    length = min(len(first), len(second))
    return first[:length] == second[:length]
