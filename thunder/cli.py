"""Invoke, made to speak as thunder does: one message per mistake, exit codes, KEY=VALUE words."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.program import Program
from invoke.tasks import task as invoke_task

from thunder import __version__
from thunder.errors import ThunderError
from thunder.schema import nearest

_OVERRIDE = re.compile(r"^[+~]{0,2}[A-Za-z_][\w./@]*=")
_EXIT_PIPE = 141  # as a process that SIGPIPE ended
_FLAGS = ("--json", "--check", "--help", "--list", "--version")
# By task: the words it needs, the options that further words stand for, and whether it has --set.
_WORDS: dict[str, tuple[list[str], list[str], bool]] = {}
_HELP = {
    "outputs": "folder of runs, tables and plans (default: outputs)",
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
                place = f"{error.filename}: " if error.filename else ""
                raise Exit(f"thunder: {place}{error.strerror or error}", code=1) from error
            if code:
                raise Exit(code=code)

        defaults = function.__defaults__ or ()
        names = function.__code__.co_varnames[1 : function.__code__.co_argcount]
        shown = {name: text for name, text in {**_HELP, **help_texts}.items() if name in names}
        required = [name for name in positional if name in names[: len(names) - len(defaults)]]
        optional = [name for name in positional if name not in required]
        _WORDS[function.__name__] = (required, optional, "set" in names)
        repeated = ["set"] if "set" in names else []
        return invoke_task(
            positional=required, iterable=repeated, help=shown, auto_shortflags=False
        )(body)

    return wrap


def run(namespace: Collection, words: Sequence[str]) -> int:
    """Run a command line of a collection; returns the exit code."""
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_PIPE
    return 0


def _with_overrides(words: Sequence[str]) -> list[str]:
    """Turn KEY=VALUE words and optional names into options, which Invoke can carry."""
    if not words:
        return ["--list"]
    name = words[0]
    if name.startswith("-"):
        return list(words)
    if name not in _WORDS:
        raise ThunderError(f"no task {name!r}{nearest(name, list(_WORDS))}; tasks: {_tasks()}")
    if "--help" in words or "-h" in words:
        return ["--help", name]
    needed, optional, has_set = _WORDS[name]
    result, bare, is_value = [name], 0, False
    for word in words[1:]:
        if word.startswith("-") or is_value:
            is_value = word.startswith("--") and "=" not in word and word not in _FLAGS
            result.append(word)
        elif has_set and _OVERRIDE.match(word):
            result += ["--set", word]
        else:
            spare = bare - len(needed)
            if spare >= len(optional):
                raise ThunderError(f"{name}: {word!r} is one word too many; {_usage(name)}")
            result.append(f"--{optional[spare]}={word}" if spare >= 0 else word)
            bare += 1
    if bare < len(needed) and not any(f"--{option}" in " ".join(words) for option in needed):
        raise ThunderError(f"{name} needs {needed[bare].upper()}; {_usage(name)}")
    return result


def _usage(name: str) -> str:
    needed, optional, has_set = _WORDS[name]
    words = [*(w.upper() for w in needed), *(f"[{w.upper()}]" for w in optional)]
    words += ["[KEY=VALUE …]"] if has_set else []
    return f"usage: {' '.join(['thunder', name, *words, '[--options]'])}; thunder {name} --help"


def _tasks() -> str:
    return ", ".join(sorted(_WORDS))
