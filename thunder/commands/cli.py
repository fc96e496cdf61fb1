"""Invoke, made to speak as thunder does: one message per mistake, exit codes, KEY=VALUE words."""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.program import Program
from invoke.tasks import task as invoke_task

from thunder import __version__
from thunder.ground import wording as text
from thunder.ground.errors import ThunderError, of_os_error
from thunder.ground.schema import nearest

_OVERRIDE = re.compile(r"^[+~]{0,2}[A-Za-z_][\w./@]*=")
_EXIT_PIPE = 141  # as a process that SIGPIPE ended
_BEFORE_A_TASK = ("--list", "-l", "--help", "-h", "--version", "-V", "--complete",
                  "--print-completion-script")  # fmt: skip


@dataclass(frozen=True)
class _Words:
    """What can be typed after a task's name.

    Args:
        optional: the options that further bare words stand for.
        options: every option, with the type of its value.
    """

    needed: list[str]
    optional: list[str]
    options: dict[str, type]


_WORDS: dict[str, _Words] = {}  # by task
_HELP = {
    "outputs": "folder of runs, tables and plans (default: conf/local.yaml's, else outputs)",
    "config_dir": "a conf/ folder of your own; matrices/ and schemas/ beside it are read too",
    "set": "an override, KEY=VALUE; the words can also be typed without --set",
    "json": "print JSON for a script",
}


def task(*positional: str, **help_texts: str) -> Callable[[Callable[..., int | None]], Any]:
    """Make an Invoke task: a user's mistake is one message, a number returned is the exit code."""

    def wrap(function: Callable[..., int | None]) -> Any:
        @wraps(function)
        def body(context: Context, *args: Any, **kwargs: Any) -> None:
            try:
                code = function(context, *args, **kwargs)
            except ThunderError as error:
                raise Exit(f"thunder: {error}", code=1) from error
            except BrokenPipeError:
                raise
            except OSError as error:
                raise Exit(f"thunder: {of_os_error(error)}", code=1) from error
            if code:
                raise Exit(code=code)

        defaults = function.__defaults__ or ()
        names = function.__code__.co_varnames[1 : function.__code__.co_argcount]
        shown = {name: said for name, said in {**_HELP, **help_texts}.items() if name in names}
        required = [name for name in positional if name in names[: len(names) - len(defaults)]]
        optional = [name for name in positional if name not in required]
        values = [*[""] * (len(names) - len(defaults)), *defaults]
        types = {f"--{n.replace('_', '-')}": type(v) for n, v in zip(names, values, strict=True)}
        _WORDS[function.__name__] = _Words(required, optional, types)
        repeated = ["set"] if "set" in names else []
        return invoke_task(
            positional=required, iterable=repeated, help=shown, auto_shortflags=False
        )(body)

    return wrap


def run(namespace: Collection, words: Sequence[str]) -> int:
    """Run a command line of a collection; returns the exit code."""
    text.prepare_streams()
    program = Program(name="thunder", binary="thunder", namespace=namespace, version=__version__)
    try:
        program.run(["thunder", *_with_overrides(words)])
        sys.stdout.flush()
    except ThunderError as error:
        print(f"thunder: {error}", file=sys.stderr)
        return 1
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 0
    except BrokenPipeError:  # `thunder status | head`: the reader has what it wanted
        text.forget_output()
        return _EXIT_PIPE
    return 0


def _with_overrides(words: Sequence[str]) -> list[str]:
    """Turn KEY=VALUE words and optional names into options, which Invoke can carry."""
    if not words:
        return ["--list"]
    name = words[0]
    if name.startswith("-"):
        if name.partition("=")[0] not in _BEFORE_A_TASK:
            hint = nearest(name, list(_BEFORE_A_TASK))
            raise ThunderError(f"{name}: not an option before a task{hint}; thunder --list")
        return list(words)
    if name not in _WORDS:
        raise ThunderError(f"no task {name!r}{nearest(name, list(_WORDS))}; tasks: {_tasks()}")
    if "--help" in words or "-h" in words:
        return ["--help", name]
    needed, optional = _WORDS[name].needed, _WORDS[name].optional
    result, bare = [name], 0
    waiting = ""  # the option whose value comes next
    for word in words[1:]:
        if waiting:
            _check_value(waiting, word, name)
            result, waiting = [*result, word], ""
        elif word.startswith("-"):
            waiting = _without_value(word, name)
            result.append(word)
        elif "--set" in _WORDS[name].options and _OVERRIDE.match(word):
            result += ["--set", word]
        else:
            spare = bare - len(needed)
            if spare >= len(optional):
                raise ThunderError(f"{name}: {word!r} is one word too many; {_usage(name)}")
            result.append(f"--{optional[spare]}={word}" if spare >= 0 else word)
            bare += 1
    if waiting:
        raise ThunderError(f"{name}: {waiting}: a value is needed after it")
    if bare < len(needed) and not any(f"--{option}" in " ".join(words) for option in needed):
        raise ThunderError(f"{name} needs {needed[bare].upper()}; {_usage(name)}")
    return result


def _without_value(word: str, name: str) -> str:
    """Return the option that a word is when its value is still to come, else nothing."""
    option, equals, value = word.partition("=")
    options = _WORDS[name].options
    if option not in options:
        raise ThunderError(f"{name}: no option {option!r}{nearest(option, list(options))}; "
                           f"options: {', '.join(options)}")  # fmt: skip
    if equals:
        _check_value(option, value, name)
    return "" if equals or options[option] is bool else option


def _check_value(option: str, value: str, name: str) -> None:
    if _WORDS[name].options[option] is int and not re.fullmatch(r"[+-]?\d+", value):
        raise ThunderError(f"{name}: {option}: {value!r} is not an integer")


def _usage(name: str) -> str:
    found = _WORDS[name]
    words = [*(w.upper() for w in found.needed), *(f"[{w.upper()}]" for w in found.optional)]
    words += ["[KEY=VALUE …]"] if "--set" in found.options else []
    return f"usage: {' '.join(['thunder', name, *words, '[--options]'])}; thunder {name} --help"


def _tasks() -> str:
    return ", ".join(sorted(_WORDS))
