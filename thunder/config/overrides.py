"""The words of a command line: Hydra's grammar in, choices and values out, and back again."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

from thunder.config import mistakes, origin
from thunder.config.plain import plain
from thunder.config.sources import Sources
from thunder.ground import command as commands
from thunder.ground import schema_faults, wording
from thunder.ground.errors import Faults, ThunderError, first_line

# Words that people type without `runtime.` in front.
SHORTHAND = (
    "window", "target", "jobs", "dry_run", "force", "wait", "retries", "outputs", "deep",
    "eval_every", "save_every", "stall_seconds", "start_seconds", "lease_seconds", "max_cells",
)  # fmt: skip
# What a command asks of all its cells at once; and what is filled in when a job is made.
OF_ALL = (
    "runtime.jobs", "runtime.dry_run", "runtime.force", "runtime.wait", "runtime.retries",
    "runtime.outputs", "runtime.max_cells",
)  # fmt: skip
MOST_LETTERS = 10_000  # of a word: Hydra's parser takes a second for a thousand values
_TOO_LONG = f"a word has {MOST_LETTERS:,} letters at most; a file has room for more"
_SHOWN_LETTERS = 60
MOST_CELLS = 20_000  # of a matrix, unless max_cells says otherwise
FILLED = tuple(
    f"runtime.{key}" for key in ("profile", "command", "reproduce", "paths", "stand_ins")
)
_KEY = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+)*", re.ASCII)

Spelt = dict[tuple[str, str], str]  # words as a shell reads them, by key and value


@dataclass(frozen=True)
class Words:
    """The overrides of a command line, sorted: group choices, values, and what -m sweeps over."""

    choices: Mapping[str, str]
    values: Mapping[str, Any]
    sweeps: Mapping[str, list[Any]]
    spelt: Mapping[str, str]  # dotted key → the word as it was typed


def place_of(word: str) -> origin.Place:
    """Return a word of the command line as the place that set a value."""
    return origin.Place.of(f"command line {word!r}", word.partition("=")[2])


def full_key(key: str) -> str:
    """Return the dotted key of a shorthand word: `window` is `runtime.window`."""
    return f"runtime.{key}" if key in SHORTHAND else key


def parse(words: Sequence[str], places: Sources) -> Words:
    """Sort the overrides of a command line; faults of spelling are reported together."""
    choices: dict[str, str] = {}
    values: dict[str, Any] = {}
    swept: dict[str, Any] = {}
    spelt: dict[str, str] = {}
    faults = []
    for word in words:
        if len(word) > MOST_LETTERS:
            faults.append(f"{word[:_SHOWN_LETTERS]!r}…: {_TOO_LONG}")
            continue
        try:
            override = _parser().parse_override(word)
        except Exception as error:  # Hydra raises its lexer's and parser's errors bare
            faults.append(f"{word!r}: {_spelling(word, error)}")
            continue
        key = override.key_or_group
        fault = _refusal(override, places) or _second(full_key(key), word, spelt)
        if fault:
            faults.append(f"{word!r}: {fault}")
            continue
        spelt[full_key(key)] = word
        if override.is_sweep_override():
            swept[key] = override
        elif key in places.groups:
            choices[key] = str(override.value())
        else:
            values[full_key(key)] = plain(override.value())
    most = most_cells(values, places.this_machine.get("runtime"))  # the first may be the last word
    faults += [f"{spelt[full_key(k)]!r}: {fault}" for k, o in swept.items()
               if (fault := _range_fault(o.value(), most))]  # fmt: skip
    sweeps = {} if faults else {key: _sweep_values(override) for key, override in swept.items()}
    faults += [
        f"{spelt[full_key(key)]!r}: {fault}{number_hint(place_of(spelt[full_key(key)]), value)}"
        for key, value, fault in _value_faults(values, sweeps)
    ]
    if faults:
        raise Faults("the command line cannot be read:", faults)
    _check_choices(choices, places)
    return Words(choices, values, sweeps, spelt)


@cache
def _parser() -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create()


def _spelling(word: str, error: Exception) -> str:
    key, equals, value = word.partition("=")
    if not equals:
        return "not an override; write key=value"
    if fault := _no_key(key.lstrip("+~")):
        return fault
    typed = commands.line(f"{key}={commands.quoted(value)}")
    if not value.isascii():
        return f"text that is not ASCII needs quotes inside quotes: {typed}"
    return f"{first_line(error)}; to give it as text, quote it: {typed}"


def most_cells(values: Mapping[str, Any], runtime: Any) -> int:
    """Return how many cells a matrix may have.

    Args:
        values: what is set for all cells.
        runtime: what else sets it, a section of a config; the schema tells what is wrong in it.
    """
    under = runtime.get("max_cells") if isinstance(runtime, dict) else None
    most = values.get("runtime.max_cells", under)
    return most if isinstance(most, int) and most > 0 else MOST_CELLS


def _range_fault(value: Any, most: int) -> str | None:
    from hydra.core.override_parser.types import RangeSweep

    if not isinstance(value, RangeSweep) or value.start is None or value.stop is None:
        return None
    if not value.step:
        return "the step of a range cannot be 0"
    count = ceil((value.stop - value.start) / value.step)
    return (
        f"{count:,} values; {most:,} is the most: max_cells={count} allows these"
        if count > most
        else None
    )


def key_fault(key: str) -> str | None:
    """Return why a key cannot be set, None when it can."""
    if fault := _no_key(key):
        return fault
    full = full_key(key)
    if any(full == name or full.startswith(f"{name}.") for name in FILLED):
        return f"{full} is filled in when a job is made; it cannot be set"
    return None


def _no_key(word: str) -> str | None:
    if _KEY.fullmatch(word.replace("/", ".")):
        return None
    return f"{word!r} is not a key; a key is words with dots between them, train.steps"


def value_fault(value: Any) -> str | None:
    """Return why a value cannot be set, None when it can."""
    faults = schema_faults.unwritable(value)
    if faults:
        return faults[0].message
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return next(filter(None, map(value_fault, items)), None)
    if isinstance(value, str) and "${" in value:
        return f"{value!r}: references like ${{KEY}} belong into a profile"
    return None


def number_hint(place: str | None, value: Any) -> str:
    """Return that a number which JSON cannot carry may have been meant as text, or nothing."""
    unfit = [wording.at(value, fault.path) for fault in schema_faults.unwritable(value)]
    return next((origin.misread(place, number, "text") for number in unfit), "")


def _refusal(override: Any, places: Sources) -> str | None:
    from hydra.core.override_parser.types import Glob, IntervalSweep

    if override.is_delete():
        return "a key cannot be taken away; set it to another value"
    if override.package is not None:
        return "a group cannot be moved to another package; leave out the @"
    value = override.value()
    if isinstance(value, IntervalSweep | Glob):
        return "intervals and globs cannot be run; list the values: a,b,c"
    if override.is_sweep_override():
        return key_fault(override.key_or_group)
    if override.key_or_group in places.groups and not isinstance(value, str | int | float):
        return f"one name is needed, not {value!r}"
    return key_fault(override.key_or_group)


def _second(key: str, word: str, spelt: Mapping[str, str]) -> str | None:
    if spelt.get(key, word) == word:
        return None
    return f"{key} is given twice, also as {spelt[key]!r}"


def _value_faults(
    values: Mapping[str, Any], sweeps: Mapping[str, list[Any]]
) -> Iterator[tuple[str, Any, str]]:
    for key, value in [*values.items(), *((k, v) for k, vs in sweeps.items() for v in vs)]:
        if fault := value_fault(value):
            yield key, value, fault


def _sweep_values(override: Any) -> list[Any]:
    from hydra.core.override_parser.types import Transformer

    swept = override.sweep_iterator(transformer=Transformer.identity)
    return [plain(_unquoted(value)) for value in swept]


def _unquoted(value: Any) -> Any:
    """Return a value of Hydra's grammar without the marks of its quotes."""
    from hydra.core.override_parser.types import QuotedString

    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, dict):
        return {_unquoted(key): _unquoted(item) for key, item in value.items()}
    return [_unquoted(item) for item in value] if isinstance(value, list) else value


def _check_choices(choices: Mapping[str, str], places: Sources) -> None:
    faults = [
        mistakes.no_option(group, option, places)
        for group, option in choices.items()
        if option not in places.groups[group]
    ]
    if faults:
        raise Faults("no such option:", faults) if len(faults) > 1 else ThunderError(faults[0])


def command(
    choices: Mapping[str, str],
    values: Mapping[str, Any],
    flags: Sequence[str],
    spelt: Spelt | None = None,
) -> str:
    """Return the command line that makes one job: its choices and values as overrides.

    Args:
        spelt: words of earlier commands; those of the cells of a matrix share most.
    """
    spelt = {} if spelt is None else spelt
    words = [_start(tuple(flags))]
    for key, value in (*choices.items(), *values.items()):
        known = (key, repr(value))  # repr tells 1 from true, as equality does not
        if known not in spelt:
            plus = "+" if key == "profile" else ""
            spelt[known] = commands.override(f"{plus}{_short(key)}", value)
        words.append(spelt[known])
    return " ".join(words)


@cache
def _start(flags: tuple[str, ...]) -> str:
    return commands.line("python", "-m", "thunder", *flags)


def _short(key: str) -> str:
    name = key.removeprefix("runtime.")
    return name if name in SHORTHAND else key
