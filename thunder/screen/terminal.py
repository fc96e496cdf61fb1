"""Tables and progress bars for people who look on; the only importer of rich.

Rich writes control characters of its own, so every word from outside is escaped here.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column, Table
from rich.text import Text

from thunder.ground.wording import printable
from thunder.runner.execute import Outcome
from thunder.runs.cells import Planned
from thunder.screen.lines import end_lines, event_lines, numbers_text, start_line, step_word
from thunder.screen.streams import forget_output, raw_output

_LABEL_LETTERS = 28  # with the numbers of an ASR run and a bar, 80 columns
_MARKS = {"PASS": "green", "FAIL": "bold red", "SKIPPED": "yellow"}


class Terminal:
    """Tables and progress bars in a terminal, with rich."""

    def __init__(self, *, many: bool, console: Console | None = None) -> None:
        self.many = many
        self.console = console or Console(file=raw_output(), highlight=False, emoji=False)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),  # what gives way first where there is little room
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[numbers]}", markup=False),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            console=self.console,
            transient=many,
        )
        self.tasks: dict[str, TaskID] = {}
        self.lock = threading.Lock()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        """Print one line above the bars; when nobody looks any more, the runs go on."""
        try:
            self.console.print(printable(text), markup=False, soft_wrap=True)
        except OSError:
            forget_output()

    def begin(self, planned: Planned) -> None:
        """Name the run that begins; of several, each gets its bar at once."""
        if self.many:
            self.say(f"run     {start_line(planned)}")
            with self.lock:
                self._add(planned, planned.cell.job.goal)

    def event(self, planned: Planned, event: dict[str, Any]) -> None:
        """Show one event of a run."""
        match event["event"]:
            case "step":
                self._advance(planned, event)
            case "checks" if not self.many:
                self.console.print(_checks_table(event))
            case "valid" | "report" | "phase" | "note" | "saved" | "checks" if self.many:
                pass
            case _:
                for line in event_lines(event):
                    self.say(line)

    def end(self, outcome: Outcome) -> None:
        """Say how a run ended."""
        self._close(outcome.planned.cell.job.id)
        if lines := end_lines(outcome, many=self.many):
            self.say("\n".join(lines))  # at once: other runs are telling their ends too

    def note(self, text: str) -> None:
        """Show a note."""
        self.say(f"note    {text}")

    def ask(self, question: str) -> str:
        """Ask who looks on, below the bars; a second Ctrl-C is no answer either."""
        self.progress.stop()
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return self.console.input(question, markup=False)
        except (EOFError, KeyboardInterrupt):
            return ""
        finally:
            signal.signal(signal.SIGINT, before)

    def _add(self, planned: Planned, total: int | None, word: str = "train   step") -> None:
        name = planned.cell.job.id
        label = printable(_label(planned)) if self.many else word
        self.progress.start()
        self.tasks[name] = self.progress.add_task(label, total=total, numbers="")

    def _advance(self, planned: Planned, event: dict[str, Any]) -> None:
        name = planned.cell.job.id
        numbers = numbers_text(event)
        with self.lock:
            if name not in self.tasks:
                self._add(planned, event["of"], step_word(event))
            self.progress.update(
                self.tasks[name], completed=event["step"], total=event["of"], numbers=numbers
            )
            if not self.many and event["step"] == event["of"]:
                self._leave_bar(name)

    def _close(self, name: str) -> None:
        with self.lock:
            if name not in self.tasks:
                return
            if not self.many:
                self._leave_bar(name)
                return
            self.progress.remove_task(self.tasks.pop(name))
            if not self.tasks:
                self.progress.stop()

    def _leave_bar(self, name: str) -> None:
        """Leave a bar as it is, so that what follows comes below it."""
        self.progress.stop()
        self.progress.remove_task(self.tasks.pop(name))


@contextmanager
def moving(label: str, console: Console | None = None) -> Iterator[Callable[[int, int], None]]:
    """Show files on their way as a bar; yields what is told of how many bytes are there."""
    console = console or Console(file=raw_output(), highlight=False, emoji=False)
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(bar_width=None),
        DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(printable(label), total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def _label(planned: Planned) -> str:
    """Return what tells a run from the others that go on; the line above has its id, too."""
    label = planned.cell.label or planned.cell.job.id
    if len(label) > _LABEL_LETTERS:  # the values differ, the keys do not
        label = " ".join(map(str, planned.cell.coordinates.values()))
    return label if len(label) <= _LABEL_LETTERS else label[: _LABEL_LETTERS - 1] + "…"


def _checks_table(event: dict[str, Any]) -> Table:
    table = Table(title=Text(printable(event["title"])), title_justify="left", title_style="bold")
    for column in ("", "host", "check", "measured"):
        table.add_column(column, overflow="fold")
    for row in event["rows"]:
        details = "  ".join(part for part in (row["measured"], row["reason"]) if part)
        mark = Text(row["status"], style=_MARKS[row["status"]])
        words = (row["host"], row["check"], details)
        table.add_row(mark, *(Text(printable(word)) for word in words))
    return table
