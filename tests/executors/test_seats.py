"""Which host takes the next run: a free one with the fewest, none that was refused a moment ago."""

import threading
from collections.abc import Iterator

import pytest

from thunder.executors import seats
from thunder.executors.place import Stop
from thunder.ground.errors import Stopped, ThunderError

HOSTS = ("a", "b")
REFUSED = ThunderError("b is asleep", "environment")


@pytest.fixture(autouse=True)
def nobody_sits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(seats, "_taken", {})
    monkeypatch.setattr(seats, "_unfit", {})
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
