"""Where ranks are: in blocks over the hosts of a site, each with a free address on its link."""

import pytest
from lab import Lab

from thunder.ground.errors import ThunderError
from thunder.hosts import host
from thunder.hosts.connection import Lost
from thunder.training import host_checks, placement
from thunder.training.placement import LinkDown, Slot

HERE = {"name": "desk", "address": "10.0.0.9"}


def test_a_single_host_of_no_description_is_this_machine() -> None:
    with placement.opened({"ranks_on": [HERE]}, 2) as slots:
        assert slots == [Slot("desk")] * 2
        assert not placement.is_far(slots)
        ports = {address.partition(":")[2] for address in placement.addresses(slots)}
    assert len(ports) == 2
    placement.refuse_broken_link(slots)  # one machine has none


def test_ranks_are_spread_in_blocks_with_ports_of_their_hosts(lab: Lab) -> None:
    with placement.opened(lab.site(ranks_on=["mac4", "mac5"]), 4) as slots:
        assert [slot.host for slot in slots] == ["mac4", "mac4", "mac5", "mac5"]
        assert [slot.host for slot in placement.by_host(slots)] == ["mac4", "mac5"]
        found = placement.addresses(slots)
        assert len({*found}) == 4
        rings = [lab["mac4"].ring] * 2 + [lab["mac5"].ring] * 2
        assert [address.partition(":")[0] for address in found] == rings
        placement.refuse_broken_link(slots)


def test_the_preflight_counts_the_ranks_of_each_host_as_they_are_placed() -> None:
    hosts = [{"name": name, "address": "10.0.0.1"} for name in ("mac4", "mac5")]
    site = {"ranks_on": hosts, "hosts": {"mac4": {}, "mac5": {}}}
    for ranks, wanted in ((1, ["mac4"]), (2, ["mac4", "mac5"]), (4, ["mac4"] * 2 + ["mac5"] * 2)):
        config = {"runtime": {"site": site}, "train": {"ranks": ranks}}
        assert host_checks.far_ranks(config) == wanted
        assert [one["name"] for one in host.in_blocks(hosts, ranks)] == wanted


def test_a_link_that_is_down_is_named_by_its_addresses(lab: Lab) -> None:
    with placement.opened(lab.site(ranks_on=["mac4", "mac5"]), 2) as slots:
        lab["mac5"].cut("ring")
        try:
            ends = rf"mac4 → mac5 \({lab['mac4'].ring} → {lab['mac5'].ring}\) is down"
            with pytest.raises(LinkDown, match=ends):
                placement.refuse_broken_link(slots)
        finally:
            lab["mac5"].heal("ring")


def test_an_address_that_a_host_has_not_is_refused(lab: Lab) -> None:
    site = lab.site(ranks_on=["mac4", "mac5"])
    site["ranks_on"][0]["address"] = "10.99.99.99"
    with (
        placement.opened(site, 2) as slots,
        pytest.raises(ThunderError, match=r"host mac4 \(mac4\): .*assign requested address"),
    ):
        placement.addresses(slots)


def test_a_host_out_of_reach_is_no_broken_link_between_hosts(lab: Lab) -> None:
    with placement.opened(lab.site(ranks_on=["mac4", "mac5"]), 2) as slots:
        way = slots[1].way
        assert way is not None
        way.close()
        with pytest.raises(Lost, match="host mac5"):
            placement.refuse_broken_link(slots)


def test_a_rank_here_is_started_by_its_words_alone() -> None:
    start = Slot(python=("python",)).start(["-m", "rank"])
    assert ([*start.command], start.way) == (["python", "-m", "rank"], None)
    assert Slot().host == host.HERE
