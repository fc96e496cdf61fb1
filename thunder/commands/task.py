"""A task of the `thunder` command: a function, and what can be typed after its name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A function that answers a question, and what can be typed after its name.

    Args:
        needed: the arguments that the first bare words are.
        optional: those that further bare words stand for.
        options: every option, with the type of its value.
        help_texts: what an argument is, where its name does not say it.
    """

    function: Callable[..., int | None]
    needed: Sequence[str]
    optional: Sequence[str]
    options: Mapping[str, type]
    help_texts: Mapping[str, str]

    @property
    def name(self) -> str:
        """The word that asks it."""
        return self.function.__name__


_HELP = {
    "outputs": "folder of runs, tables and plans (default: conf/local.yaml's, else outputs)",
    "config_dir": "a conf/ folder of your own; matrices/ and schemas/ beside it are read too",
    "set": "an override, KEY=VALUE; the words can also be typed without --set",
    "json": "print JSON for a script",
}


def task(*positional: str, **help_texts: str) -> Callable[[Callable[..., int | None]], Task]:
    """Make a task of a function; a number that it returns is the exit code."""

    def wrap(function: Callable[..., int | None]) -> Task:
        defaults = function.__defaults__ or ()
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        without = names[: len(names) - len(defaults)]
        types = [*[str] * len(without), *map(type, defaults)]
        return Task(
            function,
            needed=[name for name in positional if name in without],
            optional=[name for name in positional if name not in without],
            options={option_of(name): kind for name, kind in zip(names, types, strict=True)},
            help_texts={
                k: help_text for k, help_text in {**_HELP, **help_texts}.items() if k in names
            },
        )

    return wrap


def option_of(argument: str) -> str:
    """Return the option that an argument is typed as."""
    return f"--{argument.replace('_', '-')}"


def argument_of(option: str) -> str:
    """Return the argument that an option stands for."""
    return option.removeprefix("--").replace("-", "_")
