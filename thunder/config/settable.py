"""What a person may set: keys, the short words for some of them, and values."""

import re
from typing import Any

from thunder.config import origin
from thunder.ground import schema_faults, wording

# Words that people type without `runtime.` in front.
SHORTHAND = (
    "window", "target", "jobs", "dry_run", "force", "wait", "retries", "outputs", "deep",
    "mend", "eval_every", "save_every", "stall_seconds", "start_seconds",
    "unattended_seconds", "max_cells",
)  # fmt: skip
# What a command asks of all its cells at once; and what is filled in when a job is made.
OF_ALL = (
    "runtime.jobs", "runtime.dry_run", "runtime.force", "runtime.wait", "runtime.retries",
    "runtime.outputs", "runtime.max_cells",
)  # fmt: skip
_FILLED = tuple(
    f"runtime.{key}" for key in ("profile", "command", "reproduce", "paths", "stand_ins")
)
_KEY = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+)*", re.ASCII)


def full_key(key: str) -> str:
    """Return the dotted key of a shorthand word: `window` is `runtime.window`."""
    return f"runtime.{key}" if key in SHORTHAND else key


def short(key: str) -> str:
    """Return a key as people type it: `runtime.window` is `window`."""
    name = key.removeprefix("runtime.")
    return name if name in SHORTHAND else key


def key_fault(key: str) -> str | None:
    """Return why a key cannot be set, None when it can."""
    if fault := no_key(key):
        return fault
    full = full_key(key)
    if any(full == name or full.startswith(f"{name}.") for name in _FILLED):
        return f"{full} is filled in when a job is made; it cannot be set"
    return None


def no_key(word: str) -> str | None:
    """Return why a word is no key, None when it is one."""
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
