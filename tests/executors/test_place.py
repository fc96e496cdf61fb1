"""The seam of executors: what every place has, in which order it is used, whatever befalls."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thunder.executors import local, place, ssh
from thunder.executors.place import Ending, Order, Stop
from thunder.ground import schema

ORDER = Order(Path(), "module:function", lock=-1, frozen_seconds=1.0, hung_seconds=1.0)


class Recorded:
    """A place that remembers what was asked of it."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.fault = fault

    def start(self, order: Order) -> str:
        self.asked.append("start")
        return "handle"

    def follow(self, handle: Any, stopping: Stop) -> Iterator[dict[str, Any]]:
        self.asked.append("follow")
        yield {"event": "note", "text": "at work"}
        if self.fault:
            raise self.fault

    def stop(self, handle: Any) -> None:
        self.asked.append("stop")

    def fetch(self, handle: Any) -> Ending:
        self.asked.append("fetch")
        return Ending({"metrics": {}}, None)


def test_a_run_is_started_followed_stopped_and_fetched() -> None:
    where, heard = Recorded(), []
    ending = place.execute(where, ORDER, Stop(), heard.append)
    assert where.asked == ["start", "follow", "stop", "fetch"]
    assert (heard, ending.result) == ([{"event": "note", "text": "at work"}], {"metrics": {}})


def test_nothing_is_left_behind_when_following_fails() -> None:
    where = Recorded(OSError("the link is down"))
    with pytest.raises(OSError, match="the link is down"):
        place.execute(where, ORDER, Stop(), lambda event: None)
    assert where.asked == ["start", "follow", "stop"]


def test_every_place_is_a_word_of_the_schema_and_has_the_seam() -> None:
    site = schema.load("common")["$defs"]["runtime"]["properties"]["site"]
    words, hosts = site["properties"]["runs_on"]["oneOf"]
    assert [*words["enum"], "ssh"] == [*place.PLACES]
    assert hosts["type"] == "array"
    for runs_on in (*words["enum"], ["mac4", "mac5"]):
        module = place.named(runs_on)
        assert all(callable(getattr(module, part)) for part in ("start", "follow", "stop", "fetch"))
    assert place.named("local") is local
    assert place.named(["mac4"]) is ssh
