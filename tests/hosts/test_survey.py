"""All hosts of a site are asked at once; one that cannot be asked hides no other."""

import dataclasses
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from lab import Lab

from thunder.hosts import examination, links, requirements, ssh, survey
from thunder.hosts import host as described
from thunder.hosts.host import Host

pytestmark = pytest.mark.slow


@pytest.fixture
def hosts(lab: Lab) -> dict[str, Host]:
    return described.of_site(lab.site())


def _rows(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["host"]: row for row in report["hosts"]}


def _reason(hosts: dict[str, Host], name: str, **changes: Any) -> str:
    """Why a host is not ready, where the other one is."""
    report = survey.of_hosts({**hosts, name: dataclasses.replace(hosts[name], **changes)}, [])
    rows = _rows(report)
    assert [row["ready"] for key, row in rows.items() if key != name] == [True]
    assert not rows[name]["ready"]
    assert not report["ready"]
    (fault,) = rows[name]["faults"]
    return str(fault)


def test_hosts_say_what_they_are_and_have_and_how_far_they_are_from_each_other(
    lab: Lab, hosts: dict[str, Host]
) -> None:
    ranks = lab.site(ranks_on=["mac4", "mac5"])["ranks_on"]
    report = survey.of_hosts(hosts, ranks, speed=True)
    assert report["ready"]
    for name, row in _rows(report).items():
        assert row["name"] == name
        assert 0 < row["ssh_ms"] < 500
        assert abs(row["clock_seconds"]) < 0.5
        assert row["free_disk"] > 0
        assert row["free_memory"] > 0
        assert (row["faults"], row["warnings"]) == ([], [])
        assert (row["environment"], row["is_prepared"]) == (hosts[name].environment, False)
        assert row["versions"]["numpy"]
        assert row["backend"]["device"] == "cpu"
        assert row["gigaflops"] > 0
    ways = [(link["from"], link["to"], link["address"]) for link in report["links"]]
    assert ways == [("mac4", "mac5", lab["mac5"].ring), ("mac5", "mac4", lab["mac4"].ring)]
    assert all(0 < link["ms"] < 100 for link in report["links"])


def test_a_link_that_is_down_while_ssh_works_is_told_as_the_link_s_fault(
    lab: Lab, hosts: dict[str, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "_CONNECT_SECONDS", 1.0)
    ranks = lab.site(ranks_on=["mac4", "mac5"])["ranks_on"]
    lab["mac5"].cut("ring")
    try:
        report = survey.of_hosts(hosts, ranks)
    finally:
        lab["mac5"].heal("ring")
    assert [row["ready"] for row in report["hosts"]] == [True, True]
    assert [link["fault"] for link in report["links"]] == [
        "timed out; is the cable in, and the link up?"
    ] * 2
    assert not report["ready"]


def test_an_address_of_the_ring_that_no_host_has_is_named(lab: Lab, hosts: dict[str, Host]) -> None:
    wrong = [{"name": "mac4", "address": lab["mac4"].ring}, {"name": "mac5", "address": "10.9.9.9"}]
    fault = survey.of_hosts(hosts, wrong)["links"][0]["fault"]
    assert fault.startswith("mac5 cannot listen at 10.9.9.9: Cannot assign requested address")


def test_a_name_that_nobody_knows(hosts: dict[str, Host]) -> None:
    assert "no machine of that name" in _reason(hosts, "mac5", ssh="mac5.invalid")


def test_a_host_that_refuses(hosts: dict[str, Host]) -> None:
    assert "turn its ssh server on" in _reason(hosts, "mac5", port=23)


def test_a_host_that_takes_no_key(hosts: dict[str, Host]) -> None:
    assert "it takes none of your keys" in _reason(hosts, "mac5", ssh="nobody@mac5")


def test_a_host_with_another_key_than_before(lab: Lab, hosts: dict[str, Host]) -> None:
    known = lab.folder / "known_hosts"
    before = known.read_text()
    first, second = before.splitlines()
    known.write_text(f"{first}\n{second.split()[0]} {' '.join(first.split()[1:])}\n")
    try:
        assert "make sure that it is the same machine" in _reason(hosts, "mac5")
    finally:
        known.write_text(before)


def test_a_host_without_python(hosts: dict[str, Host]) -> None:
    assert "no Python 3.9 or later at '/nowhere'" in _reason(hosts, "mac5", python="/nowhere")


def test_a_host_whose_python_is_too_old_for_anything(
    hosts: dict[str, Host], tmp_path: Path
) -> None:
    old = tmp_path / "python3"
    code = '"import sys; sys.version_info = (3, 8, 1)\n$1"'
    old.write_text(f"#!/bin/sh\nshift 2\nexec /usr/bin/python3 -c {code}\n")
    old.chmod(0o755)
    reason = _reason(hosts, "mac5", python=str(old))
    assert "Python 3.8 is too old; 3.9 or later is needed" in reason
    assert "hosts.mac5.python" in reason


def test_a_host_with_nothing_to_run_thunder_with(hosts: dict[str, Host]) -> None:
    assert _reason(hosts, "mac5", environment=None).endswith(
        ": thunder hosts prepare mac5 site=lab"
    )


def test_a_host_whose_workspace_is_no_folder_to_write_in(hosts: dict[str, Host]) -> None:
    reason = _reason(hosts, "mac5", workspace="/etc/passwd/thunder")
    assert reason == (
        "host mac5: nothing can be written there; hosts.mac5.workspace of the site, "
        "/etc/passwd/thunder, must be a folder, and yours to write in"
    )


def test_versions_that_differ_are_named_and_count_where_they_can_change_a_result(
    hosts: dict[str, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = requirements.version
    ours = {"mlx": "0.31.0", "rich": "14.0"}
    monkeypatch.setattr(requirements, "version", lambda name: ours.get(name) or version(name))
    (row,) = survey.of_hosts({"mac4": hosts["mac4"]}, [])["hosts"]
    there = row["versions"]
    assert row["faults"] == [f"mlx is {there['mlx']} there, 0.31.0 here"]
    assert row["warnings"] == [f"rich is {there['rich']} there, 14.0 here"]
    assert not row["ready"]


def test_a_clock_that_is_off_is_a_warning(
    hosts: dict[str, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    monkeypatch.setattr(examination.time, "time", lambda: now() + 7)
    (row,) = survey.of_hosts({"mac4": hosts["mac4"]}, [])["hosts"]
    assert row["warnings"] == ["its clock is 7.0 s behind the one here"]
    assert row["ready"]


def test_a_host_that_does_not_answer_is_waited_for_no_longer_than_told(
    lab: Lab, hosts: dict[str, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 3)
    lab["mac5"].die()
    begun = time.monotonic()
    try:
        reason = _reason(hosts, "mac5")
    finally:
        lab["mac5"].boot()
    assert "it does not answer: is it awake" in reason
    assert time.monotonic() - begun < 40


def test_a_host_that_takes_the_call_and_says_nothing_has_a_deadline_too(
    lab: Lab, hosts: dict[str, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 3)
    lab["mac5"].run("pkill", "-STOP", "-x", "sshd")
    try:
        reason = _reason(hosts, "mac5")
    finally:
        lab["mac5"].run("pkill", f"-{signal.SIGCONT}", "-x", "sshd")
    assert "it does not answer" in reason


def test_nothing_is_left_running_there(lab: Lab, hosts: dict[str, Host]) -> None:
    survey.of_hosts(hosts, lab.site(ranks_on=["mac4", "mac5"])["ranks_on"])
    deadline = time.monotonic() + 5
    while any(lab[name].processes() for name in hosts) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [lab[name].processes() for name in hosts] == [[], []]
