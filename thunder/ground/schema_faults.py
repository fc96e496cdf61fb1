"""What is wrong with a value, in words; the only importer of jsonschema, loaded to explain a no."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from thunder.ground.wording import dotted, is_text, nearest, unknown_key

COMMON = "common.json"
LARGEST = 2**53 - 1  # integers beyond are not exact in JSON (RFC 8785)
_YAML_WORDS = {"object": "mapping", "array": "list"}


@dataclass(frozen=True)
class Fault:
    """One fault of a value: where it is, and what is wrong in words."""

    path: tuple[str | int, ...]
    message: str
    wants: str = ""  # text or list, where one of them is right and something else was found

    @property
    def key(self) -> str:
        """The place as a dotted key, `$` for the whole."""
        return dotted(self.path)


def explain(value: Any, schema: dict[str, Any], common: dict[str, Any]) -> list[Fault]:
    """Return every fault that a value has by a schema, in the order of its keys.

    Args:
        common: the schema whose definitions the others name.
    """
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    registry: Any = Registry().with_resource(COMMON, Resource.from_contents(common))
    errors = Draft202012Validator(schema, registry=registry).iter_errors(value)
    unfit = unwritable(value)
    places = {fault.path for fault in unfit}
    broken = [fault for error in errors for fault in _faults_of(error, common)]
    wants = {fault.path: fault.wants for fault in broken}
    unfit = [replace(fault, wants=wants.get(fault.path, "")) for fault in unfit]
    return in_order([*unfit, *(fault for fault in broken if fault.path not in places)])


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Return faults in the order of their keys, each once."""
    return sorted(set(faults), key=lambda fault: [str(part) for part in fault.path])


def unwritable(value: Any, path: tuple[str | int, ...] = ()) -> list[Fault]:
    """Return the numbers and texts that JSON cannot carry exactly, each with its place."""
    if isinstance(value, dict):
        inner = [unwritable(item, (*path, key)) for key, item in value.items()]
        return [fault for faults in inner for fault in faults]
    if isinstance(value, list):
        inner = [unwritable(item, (*path, index)) for index, item in enumerate(value)]
        return [fault for faults in inner for fault in faults]
    if isinstance(value, float) and not math.isfinite(value):
        return [Fault(path, f"{value} is not a finite number")]
    if isinstance(value, int) and abs(value) > LARGEST:
        return [Fault(path, f"{value} is an integer beyond ±{LARGEST}, which is not exact in JSON")]
    if isinstance(value, str) and not is_text(value):
        return [Fault(path, f"{value!a} is not UTF-8")]
    return []


def _faults_of(error: Any, common: dict[str, Any]) -> list[Fault]:
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        allowed = sorted(error.schema.get("properties", {}))
        renamed = error.schema.get("renamed", {})
        unknown = [key for key in error.instance if key not in allowed]
        return [Fault((*path, key), unknown_key(key, allowed, renamed=renamed)) for key in unknown]
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return [Fault((*path, key), "missing" + _meaning(error, key)) for key in missing]
    if error.validator in ("oneOf", "anyOf") and error.context:
        return _alternatives(error, path, common)
    return [Fault(path, _sentence(error) + _meaning(error), _wants(error))]


def _wants(error: Any) -> str:
    if isinstance(error.instance, dict | list):
        return ""
    kinds = _listed(error.validator_value) if error.validator == "type" else []
    choices = error.validator_value if error.validator == "enum" else []
    if "string" in kinds or any(isinstance(choice, str) for choice in choices):
        return "text"
    return "list" if "array" in kinds else ""


def _alternatives(error: Any, path: tuple[str | int, ...], common: dict[str, Any]) -> list[Fault]:
    """Explain the alternative that was meant: the one whose first required key is there."""
    by_branch: dict[int, list[Any]] = {}
    for inner in error.context:
        by_branch.setdefault(inner.schema_path[0], []).append(inner)
    branches = [_resolved(branch, common) for branch in error.validator_value]
    if not isinstance(error.instance, dict):
        choices = [str(branch.get("title", branch.get("type", "?"))) for branch in branches]
        wants = "text" if any("string" in _listed(b.get("type")) for b in branches) else ""
        return [Fault(path, f"{_show(error.instance)} is not one of: {'; '.join(choices)}", wants)]

    def misses(index: int) -> tuple[int, int]:
        required = branches[index].get("required", [])
        absent = sum(key not in error.instance for key in required[:1])
        return absent, len(by_branch.get(index, []))

    meant = min(by_branch, key=misses)
    if misses(meant)[0] and not any(not misses(index)[0] for index in by_branch):
        keys = [str(branch["required"][0]) for branch in branches if branch.get("required")]
        return [Fault(path, f"one of these keys is needed: {', '.join(keys)}")]
    faults = [fault for inner in by_branch[meant] for fault in _faults_of(inner, common)]
    others = [branch for index, branch in enumerate(branches) if index != meant]
    group = error.schema.get("group", path[0] if path else "")
    return [_of_another(fault, path, branches[meant], others, group) for fault in faults]


def _of_another(
    fault: Fault,
    path: tuple[str | int, ...],
    meant: dict[str, Any],
    others: list[dict[str, Any]],
    group: str | int,
) -> Fault:
    """Explain a key that belongs to another alternative: two of them cannot be mixed.

    Args:
        group: whose options set the place.
    """
    by_first = {keys[0]: keys for branch in others if (keys := branch.get("required"))}
    needed = by_first.get(fault.path[-1]) if fault.path[:-1] == path else None
    if needed is None or not meant.get("required"):
        return fault
    whole = f"{dotted(path)}={{{','.join(f'{key}:…' for key in needed)}}}"
    message = (
        f"does not go with {meant['required'][0]}; on the command line give all of it, in quotes: "
        f"'{whole}'; in a file choose an option that has it: override /{group}: NAME"
    )
    return replace(fault, message=message)


def _resolved(branch: dict[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    """Return an alternative that may be named in the common schema."""
    _, is_common, name = branch.get("$ref", "").partition(f"{COMMON}#/$defs/")
    return dict(common["$defs"][name]) if is_common else branch


def _sentence(error: Any) -> str:
    shown, bound = _show(error.instance), error.validator_value
    match error.validator:
        case "type":
            words = [_YAML_WORDS.get(word, word) for word in _listed(bound)]
            return f"{shown} is {_type_name(error.instance)}, not {_article(' or '.join(words))}"
        case "enum":
            choices = [str(choice) for choice in bound]
            hint = nearest(str(error.instance), choices)
            return f"{shown} is not allowed{hint}; allowed: {', '.join(choices)}"
        case "const":
            return f"{shown} is not allowed; it must be {bound!r}"
        case "minimum":
            return f"{shown} is less than the minimum of {bound}"
        case "maximum":
            return f"{shown} is more than the maximum of {bound}"
        case "exclusiveMinimum":
            return f"{shown} is not more than {bound}"
        case "exclusiveMaximum":
            return f"{shown} is not less than {bound}"
        case "minItems" | "minProperties" | "minLength":
            return f"{shown} is too short; at least {bound} needed"
        case "uniqueItems":
            return f"{shown} has an entry twice"
        case "pattern":
            return f"{shown} does not look right; it must match {bound}"
    return str(error.message)


def _meaning(error: Any, key: str | None = None) -> str:
    schema = error.schema if key is None else error.schema.get("properties", {}).get(key, {})
    meaning = schema.get("description") if isinstance(schema, dict) else None
    return f" ({meaning})" if meaning else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _show(value: Any) -> str:
    shown = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "…"


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeio' else 'a'} {word}"


def _type_name(value: Any) -> str:
    kinds = {
        bool: "a boolean", str: "a string", int: "an integer", float: "a number",
        list: "a list", dict: "a mapping", type(None): "null",
    }  # fmt: skip
    return kinds.get(type(value), type(value).__name__)
