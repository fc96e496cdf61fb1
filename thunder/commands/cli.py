"""The words of `thunder`: which task they ask, with what; one message per mistake, exit codes.

Invoke lists and explains the tasks; it takes longer to load than most of them to answer, so a
task that is asked is called without it.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from thunder.commands.task import Task, argument_of
from thunder.commands.task import task as task
from thunder.ground.errors import EXIT_FAILED, EXIT_STOPPED, ThunderError, exit_code, of_os_error
from thunder.ground.places import check_working_folder
from thunder.ground.wording import nearest
from thunder.screen import streams

_OVERRIDE = re.compile(r"^[+~]{0,2}[A-Za-z_][\w./@]*=")
_EXIT_PIPE = 141  # as a process that SIGPIPE ended
_BEFORE_A_TASK = ("--list", "-l", "--help", "-h", "--version", "-V", "--complete",
                  "--print-completion-script")  # fmt: skip


def run(tasks: Sequence[Task], words: Sequence[str]) -> int:
    """Run a command line; returns the exit code."""
    streams.prepare()
    try:
        check_working_folder()
        code = _run({task.name: task for task in tasks}, words)
        sys.stdout.flush()
        return code
    except ThunderError as error:
        print(f"thunder: {error}", file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        print("thunder: stopped", file=sys.stderr)
        return EXIT_STOPPED
    except BrokenPipeError:  # `thunder status | head`: the reader has what it wanted
        streams.forget_output()
        return _EXIT_PIPE
    except OSError as error:
        print(f"thunder: {of_os_error(error)}", file=sys.stderr)
        return EXIT_FAILED


def _run(tasks: Mapping[str, Task], words: Sequence[str]) -> int:
    name = words[0] if words else "--list"
    if name.startswith("-"):
        if name.partition("=")[0] not in _BEFORE_A_TASK:
            hint = nearest(name, list(_BEFORE_A_TASK))
            raise ThunderError(f"{name}: not an option before a task{hint}; thunder --list")
        return _explain(tasks, words or [name])
    if name not in tasks:
        known = ", ".join(sorted(tasks))
        raise ThunderError(f"no task {name!r}{nearest(name, list(tasks))}; tasks: {known}")
    if "--help" in words or "-h" in words:
        return _explain(tasks, ["--help", name])
    return tasks[name].function(**_arguments(tasks[name], words[1:])) or 0


def _explain(tasks: Mapping[str, Task], words: Sequence[str]) -> int:
    from thunder.commands import collection

    return collection.run(list(tasks.values()), words)


def _arguments(task: Task, words: Sequence[str]) -> dict[str, Any]:
    """Return the arguments that the words after a task's name stand for."""
    given: dict[str, Any] = {}
    bare: list[str] = []
    waiting = ""  # the option whose value comes next
    for word in words:
        if waiting:
            _put(task, given, waiting, word)
            waiting = ""
        elif word.startswith("-"):
            waiting = _without_value(task, given, word)
        elif "--set" in task.options and _OVERRIDE.match(word):
            _put(task, given, "--set", word)
        else:
            bare.append(word)
    if waiting:
        raise ThunderError(f"{task.name}: {waiting}: a value is needed after it")
    return {**given, **_of_bare_words(task, bare, given)}


def _of_bare_words(task: Task, bare: Sequence[str], given: Mapping[str, Any]) -> dict[str, str]:
    if "" in bare:
        raise ThunderError(f"{task.name}: an empty word stands for nothing; {_usage(task)}")
    open_to = [name for name in task.needed if name not in given]
    names = [*open_to, *(name for name in task.optional if name not in given)]
    if len(bare) > len(names):
        word = bare[len(names)]
        raise ThunderError(f"{task.name}: {word!r} is one word too many; {_usage(task)}")
    if len(bare) < len(open_to):
        raise ThunderError(f"{task.name} needs {open_to[len(bare)].upper()}; {_usage(task)}")
    return dict(zip(names, bare, strict=False))


def _without_value(task: Task, given: dict[str, Any], word: str) -> str:
    """Return the option that a word is when its value is still to come, else nothing."""
    option, equals, value = word.partition("=")
    if option not in task.options:
        hint = nearest(option, list(task.options))
        known = ", ".join(task.options)
        raise ThunderError(f"{task.name}: no option {option!r}{hint}; options: {known}")
    if task.options[option] is bool:
        if equals:
            raise ThunderError(f"{task.name}: {word!r}: {option} takes no value")
        given[argument_of(option)] = True
        return ""
    if equals:
        _put(task, given, option, value)
    return "" if equals else option


def _put(task: Task, given: dict[str, Any], option: str, value: str) -> None:
    """Add the value of an option; several overrides are given one by one."""
    name = argument_of(option)
    if not value:
        raise ThunderError(f"{task.name}: {option}: a value is needed after it")
    if task.options[option] is int:
        if not re.fullmatch(r"[+-]?\d+", value):
            raise ThunderError(f"{task.name}: {option}: {value!r} is not an integer")
        given[name] = int(value)
    else:
        given[name] = [*given.get(name, []), value] if name == "set" else value


def _usage(task: Task) -> str:
    words = [*(w.upper() for w in task.needed), *(f"[{w.upper()}]" for w in task.optional)]
    words += ["[KEY=VALUE …]"] if "--set" in task.options else []
    shown = " ".join(["thunder", task.name, *words, "[--options]"])
    return f"usage: {shown}; thunder {task.name} --help"
