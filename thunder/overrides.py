"""The words of a command line: Hydra's grammar in, choices and values out, and back again."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from thunder.config import Sources, option_name, plain
from thunder.errors import Faults, ThunderError
from thunder.schema import nearest

# Words that people type without `runtime.` in front.
SHORTHAND = (
    "window", "target", "jobs", "dry_run", "force", "outputs", "deep",
    "eval_every", "save_every", "stall_seconds", "start_seconds",
)  # fmt: skip
# Strings that Hydra's grammar reads back as themselves without quotes.
_BARE = re.compile(r"(?!(?:true|false|null|nan|inf)$)[A-Za-z_/][\w./-]*", re.ASCII)


@dataclass(frozen=True)
class Words:
    """The overrides of a command line, sorted: group choices, values, and what -m sweeps over."""

    choices: Mapping[str, str]
    values: Mapping[str, Any]
    sweeps: Mapping[str, list[Any]]
    spelt: Mapping[str, str]  # dotted key → the word as it was typed


def full_key(key: str) -> str:
    """Return the dotted key of a shorthand word: `window` is `runtime.window`."""
    return f"runtime.{key}" if key in SHORTHAND else key


def parse(words: Sequence[str], places: Sources) -> Words:
    """Sort the overrides of a command line; faults of spelling are reported together."""
    choices: dict[str, str] = {}
    values: dict[str, Any] = {}
    sweeps: dict[str, list[Any]] = {}
    spelt: dict[str, str] = {}
    faults = []
    for word in words:
        try:
            override = _parser().parse_override(word)
        except Exception as error:  # Hydra raises its lexer's and parser's errors bare
            faults.append(f"{word!r}: {_spelling(word, error)}")
            continue
        key = override.key_or_group
        if override.is_delete():
            faults.append(f"{word!r}: a key cannot be taken away; set it to another value")
            continue
        spelt[full_key(key)] = word
        if override.is_sweep_override():
            sweeps[key] = _sweep_values(override)
        elif key in places.groups:
            choices[key] = str(override.value())
        else:
            values[full_key(key)] = plain(override.value())
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
    if not value.isascii():
        return f"""text that is not ASCII needs quotes inside quotes: '{key}="{value}"'"""
    return f"{str(error).splitlines()[0]}; quote the value: '{key}=\"{value}\"'"


def _sweep_values(override: Any) -> list[Any]:
    from hydra.core.override_parser.types import Transformer

    found = override.sweep_iterator(transformer=Transformer.identity)
    return [plain(_unquoted(value)) for value in found]


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
        f"{option_name(group, option)}{nearest(option, places.groups[group])}; "
        f"conf/{group}/ has {', '.join(places.groups[group])}"
        for group, option in choices.items()
        if option not in places.groups[group]
    ]
    if faults:
        raise Faults("no such option:", faults) if len(faults) > 1 else ThunderError(faults[0])


def command(choices: Mapping[str, str], values: Mapping[str, Any]) -> str:
    """Return the command line that makes one job: its choices and values as overrides."""
    words = [f"{'+' if key == 'profile' else ''}{key}={text}" for key, text in choices.items()]
    words += [f"{_short(key)}={_word(value)}" for key, value in values.items()]
    return shlex.join(["python", "-m", "thunder", *words])


def _short(key: str) -> str:
    name = key.removeprefix("runtime.")
    return name if name in SHORTHAND else key


def _word(value: Any) -> str:
    if isinstance(value, str) and not _BARE.fullmatch(value):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return f"[{','.join(_word(item) for item in value)}]"
    return str(value) if isinstance(value, str) else json.dumps(value)
