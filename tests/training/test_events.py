"""Every event that a lane can make fits its schema, and what does not fit is named."""

from pathlib import Path
from typing import Any

import pytest

from thunder.ground import schema
from thunder.runs import provenance
from thunder.training import events

PATH = Path("/x")
ROW = {"check": "c", "host": "h", "status": "PASS", "measured": "1", "reason": ""}
MADE = [
    events.phase("train", "window to step 10"),
    events.note("n"),
    events.warning("w"),
    events.checks("preflight", [ROW]),
    events.step(1, 2, unit="tokens", per_second=3.5, loss=0.5),
    events.step(1, 2, unit="utterances", per_second=3.5, loss=None, epoch=1),
    events.rows(1, 2, unit="pages", per_second=3.5),
    events.valid(1, unit="step", metrics={"valid_loss": 0.5}),
    events.valid(1, unit="epoch", metrics={"loss": 0.5, "exact": None}),
    events.saved(1, PATH),
    events.checkpoint(1, PATH, metrics={"valid_loss": None}, inputs={"data": "0" * 64}),
    events.backend({"device": "cpu"}),
    events.report(PATH),
    events.beat(),
]
OF_THE_PROCESS = [
    {"event": "result", "metrics": {}},
    {"event": "result", "metrics": {}, "step": None, "inputs": {}},
    {"event": "error", "message": "m", "cause": "data"},
    {"event": "alive"},
    {"event": "host", "host": provenance.host(), "versions": {"python": "3.11.7"}},
]
ALL = [*MADE, *OF_THE_PROCESS]


@pytest.mark.parametrize("event", ALL, ids=lambda event: str(event["event"]))
def test_an_event_fits_the_schema(event: dict[str, Any]) -> None:
    assert schema.faults("event", event) == []


def test_every_event_of_the_schema_is_made_somewhere() -> None:
    named = [one["if"]["properties"]["event"]["const"] for one in schema.load("event")["allOf"]]
    assert {*named} == {event["event"] for event in ALL}


@pytest.mark.parametrize("event", ALL, ids=lambda event: str(event["event"]))
def test_an_event_has_no_other_keys(event: dict[str, Any]) -> None:
    (fault,) = schema.faults("event", {**event, "more": 1})
    assert (fault.key, fault.message[:13]) == ("more", "not a key her")


@pytest.mark.parametrize("event", MADE, ids=lambda event: str(event["event"]))
def test_an_event_says_all_that_its_readers_ask(event: dict[str, Any]) -> None:
    for key in set(event) - {"event"}:
        (fault,) = schema.faults("event", {k: v for k, v in event.items() if k != key})
        assert (fault.key, fault.message[:7]) == (key, "missing")


@pytest.mark.parametrize("value", [[1, 2], {}, {"event": 1}, {"event": "step", "step": "1"}])
def test_what_is_no_event_is_named(value: Any) -> None:
    assert schema.faults("event", value) != []


def test_an_event_of_an_unknown_name_is_let_through() -> None:
    assert schema.faults("event", {"event": "from_the_future", "text": "ߒߞߏ"}) == []
