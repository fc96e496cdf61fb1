"""Plain data: YAML read as Hydra reads it, the leaves of a config, texts in quotes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thunder.config import mistakes, origin
from thunder.ground.errors import ThunderError

MISSING = "???"  # Hydra's word for a value that must be given


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML file as plain data, with YAML's numbers as Hydra reads them."""
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    place = origin.shown(path)
    try:
        value = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except yaml.MarkedYAMLError as error:
        raise ThunderError(mistakes.yaml_fault(error)) from error
    except (OSError, ValueError, RecursionError, OmegaConfBaseException) as error:
        raise ThunderError(f"{place}: cannot be read: {error or type(error).__name__}") from error
    if not isinstance(value, dict):
        raise ThunderError(f"{place}: a mapping is needed, found {type(value).__name__}")
    return {str(key): plain(item) for key, item in value.items()}


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
