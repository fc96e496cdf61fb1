"""The tasks as Invoke knows them: for `inv`, --list, --help and a shell's completion."""

import inspect
from collections.abc import Sequence
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.program import Program
from invoke.tasks import Task as InvokeTask
from invoke.tasks import task as invoke_task

from thunder import __version__
from thunder.commands.task import Task
from thunder.ground.errors import EXIT_STOPPED, ThunderError, exit_code, of_os_error
from thunder.screen import streams


def of(tasks: Sequence[Task]) -> Collection:
    """Return the collection of tasks."""
    return Collection(*(_of_task(task) for task in tasks))


def run(tasks: Sequence[Task], words: Sequence[str]) -> int:
    """Let Invoke answer a command line; returns the exit code."""
    program = Program(name="thunder", binary="thunder", namespace=of(tasks), version=__version__)
    try:
        program.run(["thunder", *words])
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 0
    return 0


def _of_task(task: Task) -> "InvokeTask[Any]":
    """Make an Invoke task: a user's mistake is one message, a number returned is the exit code."""

    def body(context: Context, **given: Any) -> None:
        streams.prepare()  # `inv` comes here without `thunder`
        try:
            code = task.function(**given)
        except ThunderError as error:
            raise Exit(f"thunder: {error}", code=exit_code(error)) from error
        except KeyboardInterrupt as error:
            raise Exit("thunder: stopped", code=EXIT_STOPPED) from error
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Exit(f"thunder: {of_os_error(error)}", code=1) from error
        if code:
            raise Exit(code=code)

    own = inspect.signature(task.function)
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    body.__name__, body.__doc__ = task.name, task.function.__doc__
    body.__signature__ = own.replace(  # type: ignore[attr-defined]  # which Invoke reads
        parameters=[context, *own.parameters.values()]
    )
    made: InvokeTask[Any] = invoke_task(
        positional=list(task.needed),
        iterable=["set"] if "--set" in task.options else [],
        help=dict(task.help_texts),
        auto_shortflags=False,
    )(body)
    return made
