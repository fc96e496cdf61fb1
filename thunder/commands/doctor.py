"""What this machine has: packages, BLAS and backend, and whether each site is ready."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from thunder.commands import hosts as views
from thunder.config import compose as configs
from thunder.config import sources
from thunder.ground import command, wording
from thunder.ground.errors import ThunderError
from thunder.hosts.host import Host
from thunder.jobs import inputs
from thunder.jobs.kinds import KINDS
from thunder.runs import provenance

PACKAGES = (
    "thunder", "hydra-core", "omegaconf", "mlx", "mlx-lm", "datasets", "transformers", "numpy",
    "jsonschema", "jsonschema-rs", "rfc8785", "invoke", "rich", "babel", "rapidfuzz", "matplotlib",
)  # fmt: skip
OF_EXTRAS = {name: kind.extra for kind in KINDS.values() for name in kind.packages}
_BACKEND_SECONDS = 120


def examine(config_dir: Path | None, outputs: Path, *, asks_hosts: bool = False) -> dict[str, Any]:
    """Return what was found, as plain data.

    Args:
        asks_hosts: whether the hosts of the sites are asked what they are and have.
    """
    places = sources.sources(config_dir)
    hosts = _hosts(places)
    asked, named = (hosts, {}) if asks_hosts else ({}, hosts)
    return {
        "python": sys.version.split()[0],
        "host": provenance.host(),
        "packages": {name: _version(name) for name in (*PACKAGES, *OF_EXTRAS)},
        "backend": _backends(),
        "outputs": _outputs(outputs),
        "sites": {name: _site(name, places) for name in places.groups.get("site", [])},
        "hosts": {name: _described(name, own, places) for name, (_, own) in named.items()},
        "surveys": {name: views.examine(site, own) for name, (site, own) in asked.items()},
    }


def render(report: dict[str, Any]) -> str:
    """Return what was found for a person."""
    host = report["host"]
    rows = [
        ["python", report["python"]],
        ["host", f"{host['name']}: {host['system']}, {host['machine']}, {host['cores']} cores"],
        ["outputs", report["outputs"]],
        *([name, version or _absent(name)] for name, version in report["packages"].items()),
        *(
            [f"backend {key}", value]
            for key, value in report["backend"].items()
            if value is not None
        ),
    ]
    for name, faults in report["sites"].items():
        rows += [[f"site {name}", fault] for fault in faults] or [[f"site {name}", "ready"]]
    for name, hosts in report["hosts"].items():
        rows += [[f"site {name} host {host}", state] for host, state in hosts.items()]
    surveys = [f"\nsite {name}\n{views.render(of)}" for name, of in report["surveys"].items()]
    return wording.columns(["what", "found"], rows) + "\n" + "".join(surveys)


def _absent(name: str) -> str:
    return f"not installed (extra {OF_EXTRAS[name]})" if name in OF_EXTRAS else "MISSING"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _backends() -> dict[str, Any]:
    """Return what the backends of all kinds say; a fault of one hides no other."""
    modules = dict.fromkeys(kind.backend for kind in KINDS.values() if kind.backend)
    return {key: value for module in modules for key, value in _backend(module).items()}


def _backend(module: str) -> dict[str, Any]:
    """Ask a process of its own: a BLAS that is loaded stays loaded."""
    words = [sys.executable, "-m", module]
    try:
        done = subprocess.run(words, capture_output=True, timeout=_BACKEND_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"fault": f"no answer within {_BACKEND_SECONDS} s"}
    last_words = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    if done.returncode:
        return {"fault": f"exit code {done.returncode}: {last_words[-1]}"}
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return {"fault": f"the answer is not JSON: {last_words[-1]}"}


def _outputs(outputs: Path) -> str:
    if not outputs.exists():
        return f"{outputs.absolute()} (not there yet)"
    if not outputs.is_dir():
        return f"{outputs.absolute()} (not a folder)"
    free_gb = shutil.disk_usage(outputs).free / 1e9
    writable = "" if os.access(outputs, os.W_OK) else ", read-only"
    return f"{outputs.absolute()} ({free_gb:.1f} GB free{writable})"


def _site(name: str, places: sources.Sources) -> list[str]:
    """Return what a site lacks for the models and data sets that it names."""
    try:
        template = configs.compose({"site": name}, places)
    except ThunderError as error:
        return [str(error)]
    runtime = template.resolved["runtime"]
    faults = _faults({"runtime": runtime})
    for kind, word in (("models", "model"), ("data", "data")):
        for key, source in runtime["site"][kind].items():
            faults += _faults({"runtime": runtime, word: {"name": key, "source": source}})
    return list(dict.fromkeys(faults))  # what the site itself lacks, each of them says


def _hosts(places: sources.Sources) -> dict[str, tuple[dict[str, Any], dict[str, Host]]]:
    """Return each site that describes hosts, with them."""
    found = {}
    for name in places.groups.get("site", []):
        with suppress(ThunderError):  # told as the site's fault
            site = views.site(name, [], places)
            found[name] = (site, views.chosen(site, "", places.flags))
    return found


def _described(name: str, hosts: Mapping[str, Host], places: sources.Sources) -> dict[str, str]:
    ask = command.line("thunder", "hosts", "--site", name, *places.flags)
    return dict.fromkeys(hosts, f"described; {ask} asks it")


def _faults(config: dict[str, Any]) -> list[str]:
    try:
        inputs.bind(config)
    except ThunderError as error:
        return getattr(error, "faults", [str(error)])
    return []
