"""What a host is told of its site by a run that is brought to it."""

from typing import Any

from thunder.executors import site_there
from thunder.hosts import host

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


def test_a_host_knows_its_name_whoever_has_the_ranks() -> None:
    for ranks_on, name in ((RING, "mac4"), (RING, "mac6"), ([{**RING[0], "name": "desk"}], "mac4")):
        assert host.name_here(site_there.of(site(*ranks_on), name)) == name


def test_the_machine_of_a_person_has_the_name_that_its_site_has_for_it() -> None:
    assert host.name_here(site(*RING)) == host.HERE
    assert host.name_here(site({"name": "desk", "address": "127.0.0.1"})) == "desk"
