"""The tasks behind the `thunder` command: questions about what is in outputs/."""

import sys

from thunder.commands import cli
from thunder.commands.tasks.ask import diff, plan, show, status, why
from thunder.commands.tasks.away import attach, stop
from thunder.commands.tasks.machines import hosts
from thunder.commands.tasks.move import sync
from thunder.commands.tasks.prepare import check, corpus, doctor
from thunder.commands.tasks.prove import errors, promote, report, score, table, verify

TASKS = (
    plan, status, show, why, diff,
    verify, table, score, report, errors, promote,
    doctor, check, corpus,
    hosts, sync, attach, stop,
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the `thunder` command."""
    return cli.run(TASKS, sys.argv[1:] if arguments is None else arguments)
