"""The hosts of a site: which are meant, what they have, what was prepared; for people."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from thunder.config import compose as configs
from thunder.config import overrides
from thunder.config.sources import Sources
from thunder.ground import command, schema, schema_faults, wording
from thunder.ground.errors import Faults, ThunderError
from thunder.hosts import host as described
from thunder.hosts import survey
from thunder.hosts.host import Host
from thunder.jobs import cell_origins, inputs

_SITE = {"$ref": "common.json#/$defs/runtime/properties/site"}
_KEYS = "runtime.site."
_NONE = "–"


def site(name: str, words: Sequence[str], places: Sources) -> dict[str, Any]:
    """Return a site by its name, or the one that words or conf/local.yaml choose, checked.

    Raises:
        ThunderError: there is none of that name, or it breaks its schema.
    """
    parsed = overrides.parse(words, places)
    if strange := [w for k, w in parsed.spelt.items() if k != "site" and not k.startswith(_KEYS)]:
        raise ThunderError(f"{strange[0]!r} says nothing of hosts; site=NAME does, or {_KEYS}KEY=…")
    if name:
        spelt = {**parsed.spelt, "site": command.line("--site", name)}
        parsed = replace(parsed, choices={**parsed.choices, "site": name}, spelt=spelt)
    config = configs.compose(parsed.choices, places).fill(parsed.values)
    chosen: dict[str, Any] = config["runtime"]["site"]
    common = schema.load("common", places.schemas)
    if faults := schema_faults.explain(chosen, _SITE, common):
        inner = [replace(fault, path=("runtime", "site", *fault.path)) for fault in faults]
        lines = cell_origins.told(inner, config, parsed, places)
        raise Faults(f"site {chosen.get('name', name)}: not a site:", lines)
    return chosen


def chosen(site: Mapping[str, Any], name: str, flags: Sequence[str]) -> dict[str, Host]:
    """Return the hosts of a site, or the one that is named.

    Args:
        flags: of the command line, for advice.

    Raises:
        ThunderError: the site has no hosts, or none of that name, or puts something on a host
            that it does not describe.
    """
    hosts = described.of_site(site, command.line(*flags))
    if not hosts:
        raise ThunderError(
            f"site {site['name']!r} describes no hosts behind ssh; name one that does: "
            "--site mac_pair, or add hosts: to conf/site/ (docs/hosts.md)"
        )
    if missing := inputs.hosts_missing(site):
        raise Faults(f"site {site['name']!r} cannot be used:", missing)
    if name and name not in hosts:
        hint = wording.nearest(name, list(hosts))
        raise ThunderError(
            f"site {site['name']!r} has no host {name!r}{hint}; hosts: {', '.join(hosts)}"
        )
    return {name: hosts[name]} if name else hosts


def examine(
    site: Mapping[str, Any], hosts: Mapping[str, Host], *, speed: bool = False
) -> dict[str, Any]:
    """Return what hosts of a site say of themselves, as plain data: see `survey.of_hosts`."""
    return {"site": site["name"]} | survey.of_hosts(hosts, site["ranks_on"], speed=speed)


def render(report: Mapping[str, Any]) -> str:
    """Return what hosts have, one column each, and below it what is wrong and what is advised."""
    rows = report["hosts"]
    table = [[key, *(_cell(show, row) for row in rows)] for key, show in _SHOWN.items()]
    table = [cells for cells in table if set(cells[1:]) != {_NONE}]
    lines = [wording.columns(["host", *(row["host"] for row in rows)], table)]
    lines += [_link_line(link) for link in report["links"]]
    lines += [f"WARNING  host {row['host']}: {text}" for row in rows for text in row["warnings"]]
    lines += [f"FAIL     {_of_host(row, text)}" for row in rows for text in row["faults"]]
    if report["rank_weights"]:
        weights = ",".join(map(str, report["rank_weights"]))
        lines.append(f"speeds differ: train.rank_weights=[{weights}] gives each its share of rows; "
                     "the id becomes another one")  # fmt: skip
    return "\n".join(lines) + "\n"


def _of_host(row: Mapping[str, Any], fault: str) -> str:
    name = f"host {row['host']}"
    return fault if fault.startswith(name) else f"{name}: {fault}"


def _cell(show: Any, row: Mapping[str, Any]) -> str:
    try:
        return str(show(row))
    except (KeyError, TypeError):  # not known of this host
        return _NONE


def _link_line(link: Mapping[str, Any]) -> str:
    way = f"{link['from']} → {link['to']} ({link['address']})"
    if link["fault"]:
        return f"FAIL     {way}  {link['fault']}"
    return f"PASS     {way}  {link['ms']:.2f} ms there and back"


def _state(row: Mapping[str, Any]) -> str:
    if not row["reachable"]:
        return "not reached"
    return "ready" if row["ready"] else "not ready"


def _python(row: Mapping[str, Any]) -> str:
    version = row["versions"]["python"]
    kind = "prepared" if row["is_prepared"] else "the site's"
    return ", ".join([version, kind, *(f"with {extra}" for extra in row["extras"])])


def _environment(row: Mapping[str, Any]) -> str:
    python: str | None = row["environment"]
    return python.replace(row["home"], "~", 1) if python else _NONE


def _gpu_users(row: Mapping[str, Any]) -> str:
    return ", ".join(row["gpu_users"]) or "nothing" if row["gpu_users"] is not None else "not known"


def _memory(row: Mapping[str, Any]) -> str:
    return f"{row['free_memory'] / 1e9:.1f} of {row['memory'] / 1e9:.1f} GB"


_SHOWN = {
    "state": _state,
    "ssh": lambda row: f"{row['ssh_ms']:.1f} ms",
    "clock": lambda row: f"{row['clock_seconds']:+.2f} s",
    "system": lambda row: f"{row['system']} {row['machine']}",
    "chip": lambda row: f"{row['chip']}, {row['processors']} cores",
    "memory free": _memory,
    "disk free": lambda row: f"{row['free_disk'] / 1e9:.1f} GB",
    "GPU used by": _gpu_users,
    "Python": _python,
    "environment": _environment,
    "mlx": lambda row: row["versions"]["mlx"] or _NONE,
    "device": lambda row: row["backend"]["device"],
    "BLAS": lambda row: row["backend"]["blas"],
    "speed": lambda row: row["speed"].get("fault") or f"{row['gigaflops']:,.0f} GFLOP/s",
}
