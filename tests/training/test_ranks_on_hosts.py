"""Ranks without a backend behind ssh: what befalls them there is named, and no host keeps any."""

from collections.abc import Callable
from typing import Any

import pytest
from host_runs import are_empty
from lab import Lab

from thunder.ground.errors import ThunderError
from thunder.hosts import connection
from thunder.training import placement, ranks
from thunder.training.watch import Phrases

pytestmark = pytest.mark.slow

PHRASES = Phrases(again="again", death="", silence="{silent}", suspended="{named} is suspended")
RANK = """
import os, time
from thunder.training import rank

def serve(order, events):
    rank.greet(events)
    while True:
        events.tell("step", number=order["rank"], pid=os.getpid())
        time.sleep(0.2)

rank.run(serve)
"""
SILENT_SECONDS = 12.0  # in place of what hosts wait before they know that nobody is there any more
KEEPER = (
    "import os, sys; from thunder.hosts import keeper; "
    f"os._exit(keeper.hold(sys.argv[1:], {SILENT_SECONDS}))"
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = connection._sources()
    patient = "SILENT_SECONDS = 60.0"
    assert sum(patient in source for _, source in sources) == 1
    hurried = [(n, s.replace(patient, f"SILENT_SECONDS = {SILENT_SECONDS}")) for n, s in sources]
    monkeypatch.setattr(connection, "_sources", lambda: hurried)
    monkeypatch.setattr(placement, "_KEEPER", ("-c", KEEPER))


def told(lab: Lab, strike: Callable[[int], object]) -> str:
    """Say what is named when something befalls the second of two ranks, whose pid it gets."""
    pids: dict[int, int] = {}

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "step" and event["number"] not in pids:
            pids[event["number"]] = event["pid"]
            if len(pids) == 2:
                strike(pids[1])

    order = {"start_seconds": 60.0, "stall_seconds": 6.0}
    with placement.opened(lab.site(ranks_on=["mac4", "mac5"]), 2) as slots:
        starts = [slot.start(["-c", RANK]) for slot in slots]
        with pytest.raises(ThunderError) as caught:
            ranks.supervise([{**order, "rank": n} for n in (0, 1)], starts, PHRASES, hear)
    assert caught.value.cause == "ranks"
    return str(caught.value)


@pytest.mark.parametrize(
    ("number", "how"), [("-KILL", "was killed by SIGKILL"), ("-STOP", "is suspended")]
)
def test_a_rank_that_is_killed_or_stopped_is_named_with_its_host(
    lab: Lab, number: str, how: str
) -> None:
    pids: list[int] = []

    def strike(pid: int) -> None:
        pids.append(pid)
        lab["mac5"].run("kill", number, str(pid))

    said = told(lab, strike)
    assert f"rank 1 (pid {pids[0]} on mac5) {how}" in said
    assert are_empty(lab["mac4"], lab["mac5"])


def test_an_ssh_link_that_is_cut_for_good_ends_both_sides(lab: Lab) -> None:
    try:
        said = told(lab, lambda pid: lab["mac5"].cut("ssh"))
        assert said.startswith("rank 1 is out of reach: host mac5 (mac5): ")
        # Nobody can tell it that it is over: it sees that nothing comes any more.
        assert are_empty(lab["mac4"], lab["mac5"])
    finally:
        lab["mac5"].heal("ssh")
