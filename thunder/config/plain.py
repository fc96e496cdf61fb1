"""Plain data: YAML read as Hydra reads it, the leaves of a config."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thunder.config import yaml_file

MISSING = "???"  # Hydra's word for a value that must be given


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML file as plain data, with YAML's numbers as Hydra reads them."""
    return {str(key): plain(item) for key, item in yaml_file.read(path).items()}


def plain(value: Any) -> Any:
    """Return plain data with whole numbers as integers: `4` and `4.0` are one value."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def missing_values(config: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys that still say `???`."""
    return [".".join(path) for path, value in leaves(config) if value == MISSING]


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every leaf of nested mappings with its path; a list is a leaf."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def by_key(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the leaves of a config by their dotted keys."""
    return {".".join(path): value for path, value in leaves(config)}
