"""Which host takes the next run: a free one with the fewest, none that was refused a moment ago."""

import threading
import time
from collections.abc import Iterator

import pytest

from thunder.executors import seats
from thunder.executors.place import Stop
from thunder.ground.errors import Stopped, ThunderError
from thunder.hosts import ssh
from thunder.hosts.connection import Lost

HOSTS = ("a", "b")
REFUSED = ThunderError("b is asleep", "environment")


@pytest.fixture(autouse=True)
def nobody_sits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(seats, "_taken", {})
    monkeypatch.setattr(seats, "_unfit", {})
    monkeypatch.setattr(seats, "_lost", {})
    monkeypatch.setattr(seats, "_full", {})
    return


def test_each_host_takes_as_many_as_it_has_seats() -> None:
    assert [seats.take(HOSTS, 2, Stop(), {}) for _ in range(4)] == ["a", "b", "a", "b"]
    leaving = threading.Timer(0.3, seats.leave, ["b"])
    leaving.start()
    assert seats.take(HOSTS, 2, Stop(), {}) == "b"


def test_who_waits_for_a_seat_hears_that_it_is_over() -> None:
    seats.hold("a")
    stopping = Stop()
    stopping.set()
    with pytest.raises(Stopped):
        seats.take(["a"], 1, stopping, {})


def test_a_host_that_cannot_be_used_is_left_out_for_a_while_and_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert seats.refuse("b", REFUSED)
    assert not seats.refuse("b", REFUSED)
    assert seats.take(HOSTS, 1, Stop(), {}) == "a"
    with pytest.raises(ThunderError, match="b is asleep"):
        seats.take(["b"], 1, Stop(), {})
    with pytest.raises(ThunderError, match=r"(?s)no host can take this run.*too old.*b is asleep"):
        seats.take(HOSTS, 1, Stop(), {"a": ThunderError("a is too old", "environment")})
    monkeypatch.setattr(seats, "_AGAIN_SECONDS", 0.0)
    assert seats.take(["b"], 1, Stop(), {}) == "b"


def test_a_host_that_others_have_filled_is_asked_again_in_a_moment_and_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seats, "_FULL_SECONDS", 0.3)
    assert seats.full("a")
    assert seats.take(HOSTS, 2, Stop(), {}) == "b"
    begun = time.monotonic()
    assert seats.take(["a"], 2, Stop(), {}) == "a"
    assert time.monotonic() - begun > 0.25
    assert not seats.full("a")
    seats.answered("a")
    assert seats.full("a")


def test_a_host_that_is_starting_anew_is_waited_for_and_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seats, "_RETRY_SECONDS", 0.3)
    assert seats.refuse("b", Lost("b: Connection refused"))
    assert seats.take(HOSTS, 1, Stop(), {}) == "a"
    begun = time.monotonic()
    assert seats.take(["b"], 1, Stop(), {}) == "b"
    assert time.monotonic() - begun > 0.25
    seats.leave("b")
    assert not seats.refuse("b", Lost("b: Connection refused"))
    seats.answered("b")
    assert seats.refuse("b", Lost("b: Connection refused"))


def test_a_host_that_does_not_come_back_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats, "RETURN_SECONDS", 0.5)
    seats.refuse("b", Lost("b: timed out"))
    with pytest.raises(ThunderError, match="b: timed out"):
        seats.take(["b"], 1, Stop(), {})
    assert not seats.may_return("b")


def test_a_host_that_a_person_has_to_see_to_is_not_waited_for() -> None:
    seats.refuse(
        "b", Lost("b: Permission denied", is_settled=ssh.is_settled("Permission denied", 255))
    )
    with pytest.raises(ThunderError, match="Permission denied"):
        seats.take(["b"], 1, Stop(), {})
