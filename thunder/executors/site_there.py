"""The site of a run as it is on the host that the run is brought to."""

from collections.abc import Mapping
from typing import Any

_LOCAL = ("127.0.0.1", "::1", "localhost")


def of(site: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the site as it is on a host, whose own name ranks of its own get.

    It is none of its own hosts: it would reach itself by ssh.
    """
    others = {other: one for other, one in site.get("hosts", {}).items() if other != name}
    there = {**site, "runs_on": "local", "hosts": others, "here": name}
    if any(one["address"] not in _LOCAL for one in site["ranks_on"]):
        return there
    ranks = [{**one, "name": name} for one in site["ranks_on"]]
    return {**there, "ranks_on": ranks, "hosts": {}}
