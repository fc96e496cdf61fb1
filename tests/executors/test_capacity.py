"""Which host takes the next run: a free one with the fewest, none that was refused a moment ago."""

import threading
import time
from collections.abc import Iterator

import pytest

from thunder.executors import capacity
from thunder.executors.place import Stop
from thunder.ground.errors import Stopped, ThunderError
from thunder.hosts import ssh
from thunder.hosts.connection import Lost

HOSTS = ("a", "b")
REFUSED = ThunderError("b is asleep", "environment")


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(capacity, "_taken", {})
    monkeypatch.setattr(capacity, "_unfit", {})
    monkeypatch.setattr(capacity, "_lost", {})
    monkeypatch.setattr(capacity, "_full", {})
    return


def test_each_host_takes_as_many_as_it_has_room_for() -> None:
    assert [capacity.take(HOSTS, 2, Stop(), {}) for _ in range(4)] == ["a", "b", "a", "b"]
    leaving = threading.Timer(0.3, capacity.give_back, ["b"])
    leaving.start()
    assert capacity.take(HOSTS, 2, Stop(), {}) == "b"


def test_who_waits_for_room_hears_that_it_is_over() -> None:
    capacity.hold("a")
    stopping = Stop()
    stopping.set()
    with pytest.raises(Stopped):
        capacity.take(["a"], 1, stopping, {})


def test_a_host_that_cannot_be_used_is_left_out_for_a_while_and_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert capacity.refuse("b", REFUSED)
    assert not capacity.refuse("b", REFUSED)
    assert capacity.take(HOSTS, 1, Stop(), {}) == "a"
    with pytest.raises(ThunderError, match="b is asleep"):
        capacity.take(["b"], 1, Stop(), {})
    with pytest.raises(ThunderError, match=r"(?s)no host can take this run.*too old.*b is asleep"):
        capacity.take(HOSTS, 1, Stop(), {"a": ThunderError("a is too old", "environment")})
    monkeypatch.setattr(capacity, "_AGAIN_SECONDS", 0.0)
    assert capacity.take(["b"], 1, Stop(), {}) == "b"


def test_a_host_that_others_have_filled_is_asked_again_in_a_moment_and_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capacity, "_FULL_SECONDS", 0.3)
    assert capacity.full("a")
    assert capacity.take(HOSTS, 2, Stop(), {}) == "b"
    begun = time.monotonic()
    assert capacity.take(["a"], 2, Stop(), {}) == "a"
    assert time.monotonic() - begun > 0.25
    assert not capacity.full("a")
    capacity.answered("a")
    assert capacity.full("a")


def test_a_host_that_is_starting_anew_is_waited_for_and_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capacity, "_RETRY_SECONDS", 0.3)
    assert capacity.refuse("b", Lost("b: Connection refused"))
    assert capacity.take(HOSTS, 1, Stop(), {}) == "a"
    begun = time.monotonic()
    assert capacity.take(["b"], 1, Stop(), {}) == "b"
    assert time.monotonic() - begun > 0.25
    capacity.give_back("b")
    assert not capacity.refuse("b", Lost("b: Connection refused"))
    capacity.answered("b")
    assert capacity.refuse("b", Lost("b: Connection refused"))


def test_a_host_that_does_not_come_back_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "RETURN_SECONDS", 0.5)
    capacity.refuse("b", Lost("b: timed out"))
    with pytest.raises(ThunderError, match="b: timed out"):
        capacity.take(["b"], 1, Stop(), {})
    assert not capacity.may_return("b")


def test_a_host_that_a_person_has_to_see_to_is_not_waited_for() -> None:
    capacity.refuse(
        "b", Lost("b: Permission denied", is_settled=ssh.is_settled("Permission denied", 255))
    )
    with pytest.raises(ThunderError, match="Permission denied"):
        capacity.take(["b"], 1, Stop(), {})
