"""What a run tells while it works: signs of life, not more of them than anybody can use."""

import time

from thunder.training import events
from thunder.training.events import Emit, Event

SECONDS = 0.25


def written(emit: Emit) -> Emit:
    """Return an emit that also prints what a person would read, so that run.log has it."""

    def tell(event: Event) -> None:
        if "text" in event:
            print(f"{event['event']:<7} {event.get('name', '')} {event['text']}", flush=True)
        emit(event)

    return tell


class News:
    """Events that may come often; those too soon after the last one are left out."""

    def __init__(self, emit: Emit) -> None:
        self._emit, self._last = emit, float("-inf")

    def tell(self, event: Event, *, surely: bool = False) -> None:
        """Send an event, if it is due or must not be missed."""
        now = time.monotonic()
        if surely or now - self._last >= SECONDS:
            self._last = now
            self._emit(event)

    def beat(self) -> None:
        """Say that work goes on."""
        self.tell(events.beat())
