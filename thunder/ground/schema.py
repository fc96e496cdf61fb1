"""Data against schemas/: read, checked, every fault at once; the only importer of jsonschema_rs.

It answers yes or no in microseconds; a no is explained in `schema_faults`.
"""

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from thunder.ground import schema_faults
from thunder.ground.errors import Cause, Faults, ThunderError, of_os_error
from thunder.ground.files import read_json
from thunder.ground.places import SHIPPED
from thunder.ground.schema_faults import Fault
from thunder.ground.wording import nearest

SHIPPED_SCHEMAS = (SHIPPED / "schemas",)


def check(
    name: str,
    value: Any,
    place: str,
    folders: tuple[Path, ...] = SHIPPED_SCHEMAS,
    cause: Cause = "user",
) -> None:
    """Raise Faults when a value breaks schemas/<name>.json.

    Args:
        place: where the value comes from, as a person would name it.
    """
    broken = faults(name, value, folders)
    if broken:
        raise Faults(
            f"{place} breaks schemas/{name}.json:",
            [f"{fault.key}: {fault.message}" for fault in broken],
            cause,
        )


def read(name: str, path: Path, cause: Cause = "data") -> Any:
    """Read a JSON file that schemas/<name>.json describes.

    Raises:
        ThunderError: it is missing, not JSON, or breaks its schema.
    """
    try:
        value = read_json(path)
    except OSError as error:
        raise ThunderError(of_os_error(error, path), cause) from error
    except ValueError as error:
        raise ThunderError(f"{path}: not JSON: {error}", cause) from error
    check(name, value, str(path), cause=cause)
    return value


def faults(name: str, value: Any, folders: tuple[Path, ...] = SHIPPED_SCHEMAS) -> list[Fault]:
    """Return every fault of a value, in the order of its keys; an empty list when it is right."""
    try:
        if is_right(name, value, folders):
            return []
        explained = schema_faults.explain(value, load(name, folders), load("common", folders))
    except RecursionError:
        return [Fault((), "nested too deep")]
    if explained:
        return explained
    # The two libraries disagree: believe the stricter one.
    refusals = _quick(name, folders).iter_errors(value)
    return schema_faults.in_order(
        Fault(tuple(refusal.instance_path), refusal.message) for refusal in refusals
    )


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


def names(folders: tuple[Path, ...] = SHIPPED_SCHEMAS) -> list[str]:
    """Return the names of the schemas that lie in the folders."""
    return sorted({path.stem for folder in folders for path in folder.glob("*.json")})


def load(name: str, folders: tuple[Path, ...] = SHIPPED_SCHEMAS) -> dict[str, Any]:
    """Read one schema; the first folder that has it wins."""
    for folder in folders:
        path = folder / f"{name}.json"
        if path.is_file():
            try:
                schema = read_json(path)
            except ValueError as error:
                raise ThunderError(f"{path}: not JSON: {error}") from error
            if not isinstance(schema, dict):
                raise ThunderError(f"{path}: not a schema; a JSON object is needed")
            return schema
    have = names(folders)
    raise ThunderError(f"no schema {name!r}{nearest(name, have)}; schemas/ has {', '.join(have)}")


@cache
def loaded(name: str, folders: tuple[Path, ...]) -> dict[str, Any]:
    """Return a schema, read once; never edit it."""
    return load(name, folders)


@cache
def _quick(name: str, folders: tuple[Path, ...], key: str | None = None) -> Any:
    resources = [(schema_faults.COMMON, load("common", folders))]
    schema = loaded(name, folders)
    if key is not None:
        resources.append((f"{name}.json", schema))
        schema = {"$ref": f"{name}.json#/properties/{key}"}
    try:
        return jsonschema_rs.validator_for(schema, registry=jsonschema_rs.Registry(resources))
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise ThunderError(f"schemas/{name}.json: not a schema: {error}") from error
