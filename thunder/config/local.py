"""conf/local.yaml: what a machine's owner set for it, read in one way by every command."""

from pathlib import Path
from typing import Any

from thunder.config import origin
from thunder.config.plain import MISSING, read_yaml
from thunder.ground import names, schema
from thunder.ground.errors import Faults, ThunderError
from thunder.ground.places import shown
from thunder.ground.schema_faults import Fault

_OUTPUTS = ("runtime", "outputs")


def read(path: Path | None, schemas: tuple[Path, ...] = schema.SHIPPED_SCHEMAS) -> dict[str, Any]:
    """Return what a machine's conf/local.yaml sets, checked; nothing where there is none.

    It is read without Hydra, for which a question about outputs does not wait.

    Raises:
        Faults: keys that cannot be set there, or values that are not right, each with its line.
    """
    if path is None:
        return {}
    settings = read_yaml(path)
    if faults := schema.faults("local", settings, schemas) or _beyond_schema(settings):
        origins = {(): shown(path), **origin.of_files([(path, "")])}
        lines = [origin.told(one.path, one.message, origins, settings, one.wants) for one in faults]
        raise ThunderError(lines[0]) if len(lines) == 1 else Faults(f"{shown(path)}:", lines)
    return settings


def _beyond_schema(settings: dict[str, Any]) -> list[Fault]:
    site, outputs = settings.get("site", "local"), settings.get("runtime", {}).get("outputs", ".")
    faults = [Fault(("site",), f"{site!r} is not a site's name")] if names.fault(site) else []
    if "${" in outputs or outputs == MISSING:
        # Hydra would resolve it, and a question about outputs would look elsewhere.
        faults.append(Fault(_OUTPUTS, f"{outputs!r} has a reference; write the path"))
    return faults
