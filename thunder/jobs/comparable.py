"""Matched bundles: what all arms must share, checked before compute and by tables."""

from collections.abc import Iterable, Mapping
from typing import Any

from thunder.config.plain import by_key
from thunder.ground import command, digest
from thunder.ground.errors import Faults
from thunder.ground.wording import nearest

Documents = Iterable[tuple[str, Mapping[str, Any]]]


def check(name: str, spec: Mapping[str, Any], documents: Documents) -> None:
    """Raise Faults when arms that must match do not.

    Args:
        spec: a matrix; its `same` lists keys that must be equal, its `differ` the only
            keys that may not be.
        documents: label and config.json document of each arm.
    """
    if not ("same" in spec or "differ" in spec):
        return
    flat = [(label, by_key(document)) for label, document in documents]
    if not flat:
        return
    keys = {key for _, values in flat for key in values}
    faults = [
        f"{word}: no cell has such a key{nearest(word, _with_sections(keys))}"
        for word in _words_without_key(spec, keys)
    ]
    for key in sorted(keys):
        if _must_match(key, spec) and (odd := _odd_one(key, flat)):
            faults.append(odd)
    if faults:
        raise Faults(f"the cells of {name!r} are not comparable:", faults)


def _must_match(key: str, spec: Mapping[str, Any]) -> bool:
    if "same" in spec and any(_inside(key, word) for word in spec["same"]):
        return True
    return "differ" in spec and not any(_inside(key, word) for word in spec["differ"])


def _inside(key: str, word: str) -> bool:
    return key == word or key.startswith(f"{word}.")


def _words_without_key(spec: Mapping[str, Any], keys: set[str]) -> list[str]:
    words = [*spec.get("same", []), *spec.get("differ", [])]
    return [word for word in words if not any(_inside(key, word) for key in keys)]


def _with_sections(keys: set[str]) -> list[str]:
    parts = [key.split(".") for key in keys]
    return sorted({".".join(key[:end]) for key in parts for end in range(1, len(key) + 1)})


def _odd_one(key: str, flat: list[tuple[str, dict[str, Any]]]) -> str | None:
    first_label, first = flat[0]
    for label, values in flat[1:]:
        one, other = first.get(key), values.get(key)
        if (key in first) != (key in values) or not digest.is_same(one, other):
            shown = _shown(first, key), _shown(values, key)
            return f"{key}: {shown[0]} in ({first_label}) but {shown[1]} in ({label})"
    return None


def _shown(values: Mapping[str, Any], key: str) -> str:
    return command.spelt(values[key]) if key in values else "nothing"
