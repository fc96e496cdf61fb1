"""Texts and values that were right, and what hands and disks make of them; drawn by hypothesis."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

LETTERS = st.characters(categories=("L", "M", "N", "P", "S", "Zs", "Cc"), max_codepoint=0x1FFFF)
TOKENS = st.sampled_from([
    "", " ", "\n", "\n\n", ": ", "- ", "#", "'", '"', "{", "}", "[", "]", ",", "|", ">", "%", "@",
    "`", "!", "!!python/object:x.y {}", "!!binary x", "---", "...", "?", "???", "${seed}",
    "${oc.env:HOME}", "${nothing}", "${", "~", "null", "true", "no", "nan", ".nan", ".inf", "-.inf",
    "1e999", "-0.0", "0x1F", "0o17", "1_000", "2001-01-01", "12:30:45", "1e-5", "9007199254740993",
    "-1", "ߒߞߏ", "ߛ߭", "\u202e", "e\u0301", "😀", "\ufeff", "kind: asr", "seed: seed", "defaults:",
    "  - /site: local", "runtime:", "axes: {}", "=", "+", "++", "~seed", "/", "..", "a.b.c", "\\",
    "\x00", "\x07", "\x1b[31m", "&a", "*a", "&a [*a, *a]", "[" * 80, "{a: " * 80,
    "range(1,1000000000)",
])  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats()
    | st.text(LETTERS, max_size=8) | TOKENS
)  # fmt: skip
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(TOKENS, SCALARS, max_size=2)


@st.composite
def texts(draw: st.DrawFn, right: str) -> str:
    """Draw a text that was right, with one to three places changed."""
    said = right
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(said)))
        end = draw(st.integers(start, min(len(said), start + 12)))
        said = said[:start] + draw(TOKENS | st.text(LETTERS, max_size=4)) + said[end:]
    return said


@st.composite
def yaml_lines(draw: st.DrawFn, right: str) -> str:
    """Draw a YAML text with a line dropped, doubled, moved, indented, or with another value."""
    lines = right.splitlines()
    at = draw(st.integers(0, len(lines) - 1))
    what = draw(st.sampled_from(["drop", "double", "move", "indent", "value"]))
    line = lines.pop(at)
    if what == "double":
        lines[at:at] = [line, line]
    elif what == "move":
        lines.insert(draw(st.integers(0, len(lines))), line)
    elif what == "indent":
        lines.insert(at, draw(st.sampled_from([" ", "  ", "\t"])) + line)
    elif what == "value":
        value = json.dumps(draw(VALUES), ensure_ascii=False)
        lines.insert(at, f"{line.partition(':')[0]}: {value}")
    return "\n".join(lines) + "\n"


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the keys that lead to every value inside of one."""
    pairs: Sequence[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        pairs = [*value.items()]
    elif isinstance(value, list):
        pairs = [*enumerate(value)]
    inner = [found for key, held in pairs for found in paths_in(held, (*path, key))]
    return [*([path] if path else []), *inner]


@st.composite
def documents(draw: st.DrawFn, right: Any) -> Any:
    """Draw a JSON value of which one to three inner ones are gone or others."""
    value = json.loads(json.dumps(right))
    for _ in range(draw(st.integers(1, 3))):
        places = paths_in(value)
        if not places:
            break
        *way, last = draw(st.sampled_from(places))
        holder = value
        for key in way:
            holder = holder[key]
        if draw(st.booleans()):
            holder[last] = draw(VALUES)
        else:
            del holder[last]
    return value


def rendered(value: Any) -> str:
    """Return JSON as a careless program writes it: with NaN, and with halves of characters."""
    return json.dumps(value)
