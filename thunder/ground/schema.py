"""Data against schemas/: every fault at once; the only importer of jsonschema.

`jsonschema_rs` answers yes or no in microseconds; `jsonschema` is loaded only to explain a no.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from thunder.ground.errors import Faults, ThunderError
from thunder.ground.files import SHIPPED, read_json

COMMON = "common.json"
LARGEST = 2**53 - 1  # integers beyond are not exact in JSON (RFC 8785)
SHIPPED_SCHEMAS = (SHIPPED / "schemas",)


_YAML_WORDS = {"object": "mapping", "array": "list"}


@dataclass(frozen=True)
class Fault:
    """One fault of a value: where it is, and what is wrong in words."""

    path: tuple[str | int, ...]
    message: str

    @property
    def key(self) -> str:
        """The place as a dotted key, `$` for the whole."""
        return dotted(self.path)


def check(
    name: str,
    value: Any,
    place: str,
    folders: tuple[Path, ...] = SHIPPED_SCHEMAS,
    cause: str = "user",
) -> None:
    """Raise Faults when a value breaks schemas/<name>.json.

    Args:
        place: where the value comes from, as a person would name it.
    """
    found = faults(name, value, folders)
    if found:
        raise Faults(
            f"{place} breaks schemas/{name}.json:",
            [f"{fault.key}: {fault.message}" for fault in found],
            cause,
        )


def read(name: str, path: Path, cause: str = "data") -> Any:
    """Read a JSON file that schemas/<name>.json describes.

    Raises:
        ThunderError: it is missing, not JSON, or breaks its schema.
    """
    try:
        found = read_json(path)
    except OSError as error:
        raise ThunderError(f"{path}: {error.strerror or error}", cause) from error
    except ValueError as error:
        raise ThunderError(f"{path}: not JSON: {error}", cause) from error
    check(name, found, str(path), cause=cause)
    return found


def faults(name: str, value: Any, folders: tuple[Path, ...] = SHIPPED_SCHEMAS) -> list[Fault]:
    """Return every fault of a value, in the order of its keys; an empty list when it is right."""
    return [] if is_right(name, value, folders) else _explain(name, value, folders)


def is_right(
    name: str, value: Any, folders: tuple[Path, ...] = SHIPPED_SCHEMAS, key: str | None = None
) -> bool:
    """Say whether a value has no fault.

    Args:
        key: the key of the schema's mappings that the value is of; by default it is a whole one.
    """
    try:
        return bool(_quick(name, folders, key).is_valid(value))
    except UnicodeEncodeError:  # half a surrogate pair
        return False


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


def is_text(value: str) -> bool:
    """Say whether a text can be written in UTF-8."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def names(folders: tuple[Path, ...] = SHIPPED_SCHEMAS) -> list[str]:
    """Return the names of the schemas that lie in the folders."""
    return sorted({path.stem for folder in folders for path in folder.glob("*.json")})


def nearest(word: str, choices: list[str]) -> str:
    """Return ` (did you mean 'x'?)` for the choice most like a word, or nothing."""
    close = get_close_matches(word, choices, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def unknown_key(key: Any, allowed: list[str], more: Sequence[str] = ()) -> str:
    """Return the message for a key that does not exist.

    Args:
        more: what else may have been meant.
    """
    if not allowed:
        return "not a key here; nothing is allowed in this place"
    return f"not a key here{nearest(str(key), [*allowed, *more])}; allowed: {', '.join(allowed)}"


def dotted(path: tuple[str | int, ...]) -> str:
    """Return a path as people write it: `train.steps`, `axes[2]`, `$` for the whole."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "$"


def load(name: str, folders: tuple[Path, ...] = SHIPPED_SCHEMAS) -> dict[str, Any]:
    """Read one schema; the first folder that has it wins."""
    for folder in folders:
        path = folder / f"{name}.json"
        if path.is_file():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ThunderError(f"{path}: not JSON: {error}") from error
            if not isinstance(found, dict):
                raise ThunderError(f"{path}: not a schema; a JSON object is needed")
            return found
    have = names(folders)
    raise ThunderError(f"no schema {name!r}{nearest(name, have)}; schemas/ has {', '.join(have)}")


@cache
def loaded(name: str, folders: tuple[Path, ...]) -> dict[str, Any]:
    """Return a schema, read once; never edit it."""
    return load(name, folders)


@cache
def _quick(name: str, folders: tuple[Path, ...], key: str | None = None) -> Any:
    resources = [(COMMON, load("common", folders))]
    asked = loaded(name, folders)
    if key is not None:
        resources.append((f"{name}.json", asked))
        asked = {"$ref": f"{name}.json#/properties/{key}"}
    try:
        return jsonschema_rs.validator_for(asked, registry=jsonschema_rs.Registry(resources))
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise ThunderError(f"schemas/{name}.json: not a schema: {error}") from error


def _explain(name: str, value: Any, folders: tuple[Path, ...]) -> list[Fault]:
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    common = Resource.from_contents(load("common", folders))
    validator = Draft202012Validator(
        load(name, folders), registry=Registry().with_resource(COMMON, common)
    )
    found = unwritable(value)
    places = {fault.path for fault in found}
    errors = [fault for error in validator.iter_errors(value) for fault in _faults_of(error)]
    found += [fault for fault in errors if fault.path not in places]
    if not found:  # the two libraries disagree: believe the stricter one
        quick = _quick(name, folders).iter_errors(value)
        found = [Fault(tuple(error.instance_path), error.message) for error in quick]
    return sorted(set(found), key=lambda fault: [str(part) for part in fault.path])


def _faults_of(error: Any) -> list[Fault]:
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        allowed = sorted(error.schema.get("properties", {}))
        unknown = [key for key in error.instance if key not in allowed]
        return [Fault((*path, key), unknown_key(key, allowed)) for key in unknown]
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return [Fault((*path, key), "missing" + _meaning(error, key)) for key in missing]
    if error.validator in ("oneOf", "anyOf") and error.context:
        return _alternatives(error, path)
    return [Fault(path, _sentence(error) + _meaning(error))]


def _alternatives(error: Any, path: tuple[str | int, ...]) -> list[Fault]:
    """Explain the alternative that was meant: the one whose first required key is there."""
    by_branch: dict[int, list[Any]] = {}
    for inner in error.context:
        by_branch.setdefault(inner.schema_path[0], []).append(inner)
    branches = [_resolved(branch) for branch in error.validator_value]
    if not isinstance(error.instance, dict):
        choices = [str(branch.get("title", branch.get("type", "?"))) for branch in branches]
        return [Fault(path, f"{_show(error.instance)} is not one of: {'; '.join(choices)}")]

    def misses(index: int) -> tuple[int, int]:
        required = branches[index].get("required", [])
        absent = sum(key not in error.instance for key in required[:1])
        return absent, len(by_branch.get(index, []))

    meant = min(by_branch, key=misses)
    if misses(meant)[0] and not any(not misses(index)[0] for index in by_branch):
        keys = [str(branch["required"][0]) for branch in branches if branch.get("required")]
        return [Fault(path, f"one of these keys is needed: {', '.join(keys)}")]
    return [fault for inner in by_branch[meant] for fault in _faults_of(inner)]


def _resolved(branch: dict[str, Any]) -> dict[str, Any]:
    """Return an alternative that may be named in the common schema."""
    _, found, name = branch.get("$ref", "").partition(f"{COMMON}#/$defs/")
    return dict(load("common")["$defs"][name]) if found else branch


def _sentence(error: Any) -> str:
    found, bound = _show(error.instance), error.validator_value
    match error.validator:
        case "type":
            words = [_YAML_WORDS.get(word, word) for word in _listed(bound)]
            return f"{found} is {_type_name(error.instance)}, not {_article(' or '.join(words))}"
        case "enum":
            choices = [str(choice) for choice in bound]
            hint = nearest(str(error.instance), choices)
            return f"{found} is not allowed{hint}; allowed: {', '.join(choices)}"
        case "const":
            return f"{found} is not allowed; it must be {bound!r}"
        case "minimum":
            return f"{found} is less than the minimum of {bound}"
        case "maximum":
            return f"{found} is more than the maximum of {bound}"
        case "exclusiveMinimum":
            return f"{found} is not more than {bound}"
        case "exclusiveMaximum":
            return f"{found} is not less than {bound}"
        case "minItems" | "minProperties" | "minLength":
            return f"{found} is too short; at least {bound} needed"
        case "uniqueItems":
            return f"{found} has an entry twice"
        case "pattern":
            return f"{found} does not look right; it must match {bound}"
    return str(error.message)


def _meaning(error: Any, key: str | None = None) -> str:
    schema = error.schema if key is None else error.schema.get("properties", {}).get(key, {})
    text = schema.get("description") if isinstance(schema, dict) else None
    return f" ({text})" if text else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _show(value: Any) -> str:
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeio' else 'a'} {word}"


def _type_name(value: Any) -> str:
    kinds = {
        bool: "a boolean", str: "a string", int: "an integer", float: "a number",
        list: "a list", dict: "a mapping", type(None): "null",
    }  # fmt: skip
    return kinds.get(type(value), type(value).__name__)
