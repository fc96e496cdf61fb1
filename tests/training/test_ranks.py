"""Ranks without a backend, in real processes: what they say is heard, what befalls them named."""

import signal
import sys
import time
from queue import SimpleQueue
from typing import Any

import pytest

from thunder.ground.errors import ThunderError
from thunder.training import rank_process, ranks
from thunder.training.rank import NotMet
from thunder.training.rank_process import Inbox, Start
from thunder.training.watch import Phrases

pytestmark = pytest.mark.slow

PHRASES = Phrases(
    again="again",
    death="; again",
    silence="{silent} silent for {seconds} s",
    suspended="{silent} silent for {seconds} s: {number} of {named} is suspended",
)
HEAD = """
import errno, os, signal, sys, time
from thunder.training import rank

def serve(order, events):
    number = order["rank"]
    place = rank.greet(events, at="here" if number == 0 else "")
"""
TAIL = """
rank.run(serve)
"""
FOR_EVER = "    while True: time.sleep(1)"


def supervise(body: str, world: int = 2, seconds: float = 20.0) -> tuple[list[Any], list[Any]]:
    """Run ranks whose work is a piece of Python; return their results and the events."""
    order = {"start_seconds": 20.0, "stall_seconds": seconds}
    orders = [{**order, "rank": number} for number in range(world)]
    events: list[Any] = []
    starts = [Start((sys.executable, "-c", HEAD + body + TAIL))] * world
    return ranks.supervise(orders, starts, PHRASES, events.append), events


def fault(body: str, **settings: Any) -> ThunderError:
    with pytest.raises(ThunderError) as caught:
        supervise(body, **settings)
    return caught.value


def test_every_rank_hears_where_the_first_one_is() -> None:
    results, events = supervise('    events.tell("note", text="x")\n    return [number, place]', 3)
    assert results == [[0, "here"], [1, "here"], [2, "here"]]
    assert [event for event in events if event["event"] != "beat"] == [
        {"event": "note", "text": "x"}
    ] * 3


def test_what_is_printed_is_no_event() -> None:
    results, _ = supervise("    print('{}'); os.write(1, b'not an event')\n    return number")
    assert results == [0, 1]


@pytest.mark.parametrize(
    ("number", "cause"),
    [("ENOSPC", "write"), ("ENOENT", "data"), ("EADDRINUSE", "environment"), ("EPIPE", "crash")],
)
def test_what_the_system_refuses_a_rank_has_its_cause(number: str, cause: str) -> None:
    told = fault(f"    raise OSError(errno.{number}, 'refused', 'here')", world=1)
    assert (str(told), told.cause) == ("here: refused", cause)


def test_a_death_is_named_with_its_signal_and_its_last_words_whoever_follows() -> None:
    told = fault(
        "    if number == 0: time.sleep(0.1); raise rank.PeerLost\n"
        "    print('the end', file=sys.stderr, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    expected = r"rank 1 \(pid \d+\) was killed by SIGKILL; again; its last words:\n    the end"
    assert told.cause == "ranks"
    with pytest.raises(ThunderError, match=expected):
        raise told


def test_an_exception_that_nobody_foresaw_leaves_its_trace() -> None:
    told = fault("    return 1 / number if number == 0 else place")
    assert str(told).startswith("rank 0 (pid ")
    assert "ended with exit code 1; again; its last words:" in str(told)
    assert str(told).endswith("\n    ZeroDivisionError: division by zero")


def test_ranks_that_cannot_meet_may_try_elsewhere() -> None:
    with pytest.raises(NotMet, match="the port is taken"):
        supervise("    raise rank.NotMet('the port is taken')")


def test_a_rank_that_hangs_after_its_first_step_is_named_by_its_shorter_deadline() -> None:
    begun = time.monotonic()
    told = fault(f"    events.tell('stepped')\n{FOR_EVER}", world=1, seconds=1.0)
    assert str(told) == "[0] silent for 1 s"
    assert time.monotonic() - begun < 15


def test_a_suspended_rank_is_named_before_those_that_wait_for_it() -> None:
    stop = "    if number == 1: os.kill(os.getpid(), signal.SIGSTOP)"
    told = fault(f"    events.tell('stepped')\n{stop}\n{FOR_EVER}", seconds=1.0)
    assert ": 1 of rank 1 (pid " in str(told)
    assert str(told).endswith("is suspended")


def test_half_a_line_waits_for_its_other_half() -> None:
    code = """
import os, time
os.write(1, b'{"event": "valid"}\\n{"event": "st')
time.sleep(0.3)
os.write(1, b'ep"}\\nno event at all\\n')
"""
    inbox: Inbox = SimpleQueue()
    started = rank_process.Process(0, {}, inbox, Start((sys.executable, "-c", code)))
    events = [inbox.get(timeout=20) for _ in range(3)]
    rank_process.end([started])
    assert events == [(0, {"event": "valid"}), (0, {"event": "step"}), (0, None)]
    assert started.last_words() == "    no event at all"
    assert started.code != -signal.SIGKILL
