"""Screens: what whoever plans can talk to, and the plain lines of a log or a pipe."""

import threading
from typing import Any, Protocol

from thunder.runner.execute import Outcome, Screen
from thunder.runs.cells import Planned
from thunder.screen.lines import end_lines, event_lines, start_line
from thunder.screen.streams import forget_output


class Shown(Screen, Protocol):
    """A screen that whoever plans can talk to as well."""

    def say(self, text: str) -> None:
        """Show one line."""

    def __enter__(self) -> "Shown":
        """Begin to show."""

    def __exit__(self, *_: object) -> None:
        """Leave everything as it is shown."""


class Plain:
    """Plain lines, for logs and pipes."""

    def __init__(self, *, many: bool) -> None:
        self.many = many
        self.lock = threading.Lock()

    def say(self, text: str) -> None:
        """Print one line at once; when nobody reads any more, the runs go on."""
        try:
            with self.lock:
                print(text, flush=True)
        except OSError:
            forget_output()

    def begin(self, planned: Planned) -> None:
        """Name the run that begins."""
        if self.many:
            self.say(f"run     {start_line(planned)}")

    def event(self, planned: Planned, event: dict[str, Any]) -> None:
        """Show one event of a run."""
        prefix = f"{planned.cell.job.id} " if self.many else ""
        for line in [] if _is_between(event) else event_lines(event):
            if not self.many or _is_for_many(event):
                self.say(f"{prefix}{line}")

    def end(self, outcome: Outcome) -> None:
        """Say how a run ended."""
        if lines := end_lines(outcome, many=self.many):
            self.say("\n".join(lines))  # at once: other runs are telling their ends too

    def note(self, text: str) -> None:
        """Show a note."""
        self.say(f"note    {text}")

    def ask(self, question: str) -> str:
        """Answer nothing: a log has nobody who reads along."""
        return ""

    def __enter__(self) -> "Plain":
        return self

    def __exit__(self, *_: object) -> None:
        return None


def _is_for_many(event: dict[str, Any]) -> bool:
    """Say whether an event is worth a line in the log of many runs: of an epoch, its validation."""
    match event["event"]:
        case "warning" | "checkpoint":
            return True
        case "step":
            return not _is_of_thousands(event)
        case "valid":
            return bool(event["unit"] == "epoch")
    return False


def _is_between(event: dict[str, Any]) -> bool:
    """Say whether a step is one of thousands, of which a log shows the last of each epoch."""
    return event["event"] == "step" and _is_of_thousands(event) and event["step"] != event["of"]


def _is_of_thousands(step: dict[str, Any]) -> bool:
    return step["counts"] == "rows" or step["epoch"] is not None
