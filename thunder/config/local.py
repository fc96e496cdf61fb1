"""conf/local.yaml: what a machine's owner set for it, read in one way by every command."""

from pathlib import Path
from typing import Any

from thunder.config.plain import read_yaml
from thunder.ground import names
from thunder.ground.errors import ThunderError
from thunder.ground.places import shown


def read(path: Path | None) -> dict[str, Any]:
    """Return what a machine's conf/local.yaml sets, checked; nothing where there is none.

    It is read without Hydra, for which a question about outputs does not wait.
    """
    if path is None:
        return {}
    settings = read_yaml(path)
    if fault := _fault(settings):
        raise ThunderError(f"{shown(path)}: {fault}")
    return settings


def _fault(settings: dict[str, Any]) -> str | None:
    if unknown := sorted(settings.keys() - {"site", "runtime"}):
        words = ", ".join(map(repr, unknown))
        return f"{words} cannot be set here; only site and runtime can"
    site, runtime = settings.get("site", "local"), settings.get("runtime", {})
    if not isinstance(site, str) or names.fault(site):
        return f"site: {site!r} is not a site's name"
    if not isinstance(runtime, dict):
        return "runtime: a mapping is needed"
    outputs = runtime.get("outputs", ".")
    if not isinstance(outputs, str) or not outputs:
        return f"runtime.outputs: {outputs!r} is not a folder; write a path"
    # Hydra would resolve it, and a question about outputs would look elsewhere.
    return (
        f"runtime.outputs: {outputs!r} has a reference; write the path" if "${" in outputs else None
    )
