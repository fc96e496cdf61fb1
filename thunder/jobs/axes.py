"""The axes of a matrix, and its points; several keys may move together on one axis."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product
from math import prod
from typing import Any

from thunder.ground import digest

Coordinates = dict[str, Any]
Axes = Mapping[str, Sequence[Any]]


def keys_of(axis: str) -> list[str]:
    """Return the keys of an axis: one, or several with commas between that move together."""
    return [key.strip() for key in axis.split(",")]


def rows_of(axis: str, values: Sequence[Any]) -> list[Sequence[Any]]:
    """Return what the keys of an axis are at each of its values."""
    return list(values) if "," in axis else [(value,) for value in values]


def columns(axes: Axes) -> dict[str, list[Any]]:
    """Return the values that each single key has along its axis."""
    return {
        key: [row[index] for row in rows_of(axis, values)]
        for axis, values in axes.items()
        for index, key in enumerate(keys_of(axis))
    }


def count(spec: Mapping[str, Any]) -> int:
    """Return how many points the axes span, and are included, before any is left out."""
    return prod(len(values) for values in spec["axes"].values()) + len(spec.get("include", []))


def points(spec: Mapping[str, Any]) -> Iterator[Coordinates]:
    """Yield the points of a matrix, in file order: of the axes those that stay, then include."""
    only, exclude = spec.get("only"), spec.get("exclude", [])
    for point in _spanned(spec["axes"]):
        if only is not None and not any(matches(point, pattern) for pattern in only):
            continue
        if not any(matches(point, pattern) for pattern in exclude):
            yield point
    yield from (dict(point) for point in spec.get("include", []))


def _spanned(axes: Axes) -> Iterator[Coordinates]:
    keys = [key for axis in axes for key in keys_of(axis)]
    if len(keys) == len(axes):  # the usual case, and the quick one
        yield from (dict(zip(keys, values, strict=True)) for values in product(*axes.values()))
        return
    for rows in product(*(rows_of(axis, values) for axis, values in axes.items())):
        yield dict(zip(keys, chain.from_iterable(rows), strict=True))


def matches(point: Coordinates, pattern: Mapping[str, Any]) -> bool:
    """Say whether a point has the values of a pattern: of `only`, `exclude`, `optional`."""
    return all(key in point and digest.is_same(point[key], value) for key, value in pattern.items())


def can_match(axes: Axes, pattern: Mapping[str, Any]) -> bool:
    """Say whether the axes have a point that matches a pattern of their keys."""
    for axis, values in axes.items():
        keys = keys_of(axis)
        own = {key: pattern[key] for key in keys if key in pattern}
        if not any(
            matches(dict(zip(keys, row, strict=True)), own) for row in rows_of(axis, values)
        ):
            return False
    return True


def place_of(axes: Axes, point: Coordinates, key: str) -> tuple[str | int, ...]:
    """Return where the axes give a key the value that it has at a point."""
    axis = next(axis for axis in axes if key in keys_of(axis))
    keys = keys_of(axis)
    own = {name: point[name] for name in keys}
    rows = enumerate(rows_of(axis, axes[axis]))
    at = next(n for n, row in rows if matches(dict(zip(keys, row, strict=True)), own))
    return ("axes", axis, at, keys.index(key)) if len(keys) > 1 else ("axes", axis, at)


def shape_faults(axes: Axes) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the values of an axis of several keys that are not one for each of them."""
    for axis, values in axes.items():
        keys = keys_of(axis)
        for index, row in enumerate(values if len(keys) > 1 else ()):
            if len(row) != len(keys):
                wanted = f"{len(keys)} keys that move together"
                yield ("axes", axis, index), f"axes: {row} has not one value for each of {wanted}"
