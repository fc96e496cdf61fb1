"""What a host is told of its site by a run that is brought to it."""

from typing import Any

from thunder.executors import site_there

HOSTS = {"mac4": {"ssh": "mac4"}, "mac5": {"ssh": "mac5"}}
RING = [{"name": "mac4", "address": "10.0.0.4"}, {"name": "mac5", "address": "10.0.0.5"}]


def site(*ranks_on: dict[str, str]) -> dict[str, Any]:
    return {"name": "lab", "runs_on": ["mac4"], "ranks_on": [*ranks_on], "hosts": HOSTS}


def test_a_host_that_a_run_goes_to_is_none_of_the_hosts_that_it_reaches_by_ssh() -> None:
    there = site_there.of(site(*RING), "mac4")
    assert (there["runs_on"], there["ranks_on"]) == ("local", RING)
    assert there["hosts"] == {"mac5": HOSTS["mac5"]}


def test_ranks_of_the_machine_that_runs_are_those_of_the_host() -> None:
    there = site_there.of(site({"name": "desk", "address": "127.0.0.1"}), "mac4")
    assert there["ranks_on"] == [{"name": "mac4", "address": "127.0.0.1"}]
    assert there["hosts"] == {}
