"""Invoke, made to speak as thunder does: one message per mistake, exit codes, KEY=VALUE words."""

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

_OVERRIDE = re.compile(r"^[+~]{0,2}[A-Za-z_][\w./@]*=")
_FLAGS = ("--json", "--check", "--help", "--list", "--version")
# By task: how many words it needs, and the options that further words stand for.
_WORDS: dict[str, tuple[int, list[str]]] = {}
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
            except OSError as error:
                place = f"{error.filename}: " if error.filename else ""
                raise Exit(f"thunder: {place}{error.strerror or error}", code=1) from error
            if code:
                raise Exit(code=code)

        defaults = function.__defaults__ or ()
        names = function.__code__.co_varnames[1 : function.__code__.co_argcount]
        shown = {name: text for name, text in {**_HELP, **help_texts}.items() if name in names}
        required = [name for name in positional if name in names[: len(names) - len(defaults)]]
        _WORDS[function.__name__] = (len(required), [n for n in positional if n not in required])
        repeated = ["set"] if "set" in names else []
        return invoke_task(positional=required, iterable=repeated, help=shown)(body)

    return wrap


def run(namespace: Collection, words: Sequence[str]) -> int:
    """Run a command line of a collection; returns the exit code."""
    program = Program(name="thunder", binary="thunder", namespace=namespace, version=__version__)
    try:
        program.run(["thunder", *_with_overrides(words)], exit=False)
    except Exit as ending:
        if ending.message:
            print(ending.message, file=sys.stderr)
        return int(ending.code)
    return 0


def _with_overrides(words: Sequence[str]) -> list[str]:
    """Turn KEY=VALUE words and optional names into options, which Invoke can carry."""
    if not words:
        return ["--list"]
    needed, optional = _WORDS.get(words[0], (len(words), []))
    result, bare, is_value = [words[0]], 0, False
    for word in words[1:]:
        if word.startswith("-") or is_value:
            is_value = word.startswith("--") and "=" not in word and word not in _FLAGS
            result.append(word)
        elif _OVERRIDE.match(word):
            result += ["--set", word]
        else:
            spare = bare - needed
            result.append(f"--{optional[spare]}={word}" if 0 <= spare < len(optional) else word)
            bare += 1
    return result
