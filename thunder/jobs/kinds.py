"""The kinds of job that there are: each lane's own word, collected by one line."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from thunder.ground.kind import Kind as Kind

LANES = ("adapter", "asr", "dry")
KINDS: dict[str, Kind] = {
    name: kind
    for lane in LANES
    for name, kind in import_module(f"thunder.lanes.{lane}.kind").KINDS.items()
}


def recipes() -> Mapping[str, str]:
    """Return the recipes of all kinds, each with the function that digests what is behind it."""
    return {name: function for kind in KINDS.values() for name, function in kind.recipes.items()}


def imports() -> Mapping[str, str]:
    """Return the actions of all kinds that make a data folder of what a person has."""
    return {name: function for kind in KINDS.values() for name, function in kind.imports.items()}


def loaded(name: str) -> Any:
    """Return the function `module:function`, or the module, that a kind names."""
    module, _, function = name.partition(":")
    imported = import_module(module)
    return getattr(imported, function) if function else imported
