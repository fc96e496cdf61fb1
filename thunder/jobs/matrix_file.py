"""A matrix as its file or its words have it: read, and checked before a cell is made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thunder.config import mistakes, origin, overrides, settable
from thunder.config.plain import read_yaml
from thunder.config.sources import Sources
from thunder.ground import digest, schema, schema_faults, wording
from thunder.ground import names as file_names
from thunder.ground.errors import Faults, ThunderError
from thunder.ground.schema_faults import Fault
from thunder.ground.wording import nearest
from thunder.jobs import axes


@dataclass(frozen=True)
class Matrix:
    """A matrix as its file has it, and where its keys were set."""

    name: str
    spec: dict[str, Any]
    origins: Mapping[origin.Key, str]
    question: str | None = None  # the first comment of its file

    def __post_init__(self) -> None:
        """Refuse a name that is a path: its plan and its tables are named after it."""
        file_names.check(self.name, "matrix")

    @property
    def axes(self) -> dict[str, list[Any]]:
        """The keys that the cells differ in, each with its values along its axis."""
        return axes.columns(self.spec["axes"])


def load(name: str, places: Sources) -> Matrix:
    """Read and check matrices/<name>.yaml."""
    have = {path.stem: path for root in reversed(places.matrices) for path in root.glob("*.yaml")}
    if name not in have:
        raise ThunderError(
            f"no matrix {name!r}{nearest(name, list(have))}; "
            f"matrices/ has {', '.join(sorted(have)) or 'none'}"
        )
    spec = read_yaml(have[name])
    place = origin.shown(have[name])
    origins: dict[origin.Key, str] = {(): place}
    for key, line, written in origin.lines(have[name]):
        origins[key] = origin.Place.of(f"{place}:{line}", str(written))
    return replace(_checked(name, spec, origins, places), question=_question(have[name]))


def _question(path: Path) -> str | None:
    first = path.read_text(encoding="utf-8-sig").partition("\n")[0]
    return first.lstrip("# ").strip() or None if first.startswith("#") else None


def _checked(
    name: str, spec: dict[str, Any], origins: Mapping[origin.Key, str], places: Sources
) -> Matrix:
    """Check a matrix against its schema, and its own words against each other."""
    faults: list[tuple[origin.Key, str]] = [
        (fault.path, f"{fault.key}: {fault.message}{_hint(fault, spec, origins)}")
        for fault in schema.faults("matrix", spec, places.schemas)
    ]
    faults = faults or list(axes.shape_faults(spec["axes"]))
    faults = faults or [
        *_key_faults(spec, places, origins),
        *_inner_faults(spec),
        *_requires_faults(name, spec, places),
    ]
    if faults:
        lines = [
            f"{origin.find(origins, path) or origins[()]}: {message}" for path, message in faults
        ]
        raise Faults(f"matrix {name!r} is not right:", list(dict.fromkeys(lines)))
    return Matrix(name, spec, origins)


def _hint(fault: Fault, spec: Any, origins: Mapping[origin.Key, str]) -> str:
    is_number = fault in schema_faults.unwritable(spec)  # which might have been meant as text
    if not fault.wants and not is_number:
        return ""
    value = wording.at(spec, fault.path)
    return origin.misread(origins.get(fault.path), value, fault.wants or "text")


def of_words(words: overrides.Words, places: Sources) -> Matrix:
    """Make the matrix of an ad-hoc `-m` sweep."""
    spec: dict[str, Any] = {"axes": dict(words.sweeps)}
    if "profile" in words.choices:
        spec["profile"] = words.choices["profile"]
    fixed = {k: v for k, v in words.values.items() if k not in settable.OF_ALL}
    sweep = {**spec, "choices": dict(words.choices), "set": fixed}
    name = f"sweep_{digest.of_value(sweep)[:8]}"
    origins: dict[origin.Key, str] = {
        (): "command line",
        **{
            ("axes", axis): overrides.place_of(words.spelt[settable.full_key(axis)])
            for axis in words.sweeps
        },
    }
    return _checked(name, spec, origins, places)


def path_of(name: str, places: Sources) -> Path | None:
    """Return the file of a matrix, None for an ad-hoc one."""
    if file_names.fault(name):
        return None
    return next((p for root in places.matrices if (p := root / f"{name}.yaml").is_file()), None)


def names(places: Sources) -> list[str]:
    """Return the names of all matrices."""
    return sorted({path.stem for root in places.matrices for path in root.glob("*.yaml")})


def _requires_faults(
    name: str, spec: Mapping[str, Any], places: Sources
) -> Iterator[tuple[origin.Key, str]]:
    have = [other for other in names(places) if other != name]
    for index, other in enumerate(spec.get("requires", [])):
        if other not in have:
            hint = nearest(other, have)
            yield ("requires", index), f"requires: no matrix {other!r}{hint} besides this one"


def _key_faults(
    spec: Mapping[str, Any], places: Sources, origins: Mapping[origin.Key, str]
) -> Iterator[tuple[origin.Key, str]]:
    for path, key, value in _settings(spec):
        of_cell = path[0] in ("axes", "include")
        if fault := settable.key_fault(key):
            yield path, fault
        elif fault := settable.value_fault(value):
            yield path, f"{key}: {fault}{settable.number_hint(origins.get(path), value)}"
        elif of_cell and settable.full_key(key) in settable.OF_ALL:
            yield path, f"{key} holds for all cells; give it on the command line or in `set`"
        elif key in places.groups and value not in places.groups[key]:
            hint = origin.misread(origins.get(path), value, "text")
            yield path, f"{key}: {mistakes.no_option(key, str(value), places)}{hint}"


def _settings(spec: Mapping[str, Any]) -> Iterator[tuple[origin.Key, str, Any]]:
    if "profile" in spec:
        yield ("profile",), "profile", spec["profile"]
    for key, value in spec.get("set", {}).items():
        yield ("set", key), key, value
    for axis, values in spec["axes"].items():
        keys = axes.keys_of(axis)
        for index, row in enumerate(axes.rows_of(axis, values)):
            for at, (key, value) in enumerate(zip(keys, row, strict=True)):
                yield ("axes", axis, index, at)[: 3 + (len(keys) > 1)], key, value
    for index, extra in enumerate(spec.get("include", [])):
        yield from ((("include", index, key), key, value) for key, value in extra.items())


def _inner_faults(spec: Mapping[str, Any]) -> Iterator[tuple[origin.Key, str]]:
    full = [settable.full_key(key) for axis in spec["axes"] for key in axes.keys_of(axis)]
    for axis in spec["axes"]:
        for key in map(settable.full_key, axes.keys_of(axis)):
            if full.count(key) > 1:
                yield ("axes", axis), f"axes: {key} is an axis twice"
    for key in spec.get("set", {}):
        if settable.full_key(key) in full:
            yield ("set", key), f"set: {key!r} is an axis as well"
    for word in ("only", "exclude", "optional"):
        for index, pattern in enumerate(spec.get(word, [])):
            yield from (
                ((word, index), message) for message in _pattern_faults(word, pattern, spec["axes"])
            )
    for key, value in spec.get("compare", {}).items():
        yield from (
            (("compare", key), message)
            for message in _pattern_faults("compare", {key: value}, spec["axes"])
        )
    table, keys = spec.get("table", {}), axes.columns(spec["axes"])
    if "over" in table and table["over"] not in keys:
        hint = nearest(table["over"], list(keys))
        yield ("table", "over"), f"table.over: {table['over']!r} is not an axis{hint}"
    if "profile" in keys or "profile" in spec:
        return
    yield (), "profile: missing (the profile that is varied)"


def _pattern_faults(word: str, pattern: Mapping[str, Any], spanned: axes.Axes) -> Iterator[str]:
    keys = axes.columns(spanned)
    unknown = [key for key in pattern if key not in keys]
    for key in unknown:
        hint = nearest(key, list(keys))
        yield f"{word} {pattern}: {key!r} is not an axis{hint}; axes: {', '.join(keys)}"
    if not unknown and not axes.can_match(spanned, pattern):
        yield f"{word} {pattern} matches no cell; was the axis edited?"
