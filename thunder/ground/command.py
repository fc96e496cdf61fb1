"""Commands that people paste: every word quoted for a shell, values for Hydra's grammar before."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

# Strings that Hydra's grammar reads back as themselves without quotes.
_BARE = re.compile(r"(?!(?:true|false|null|nan|inf)\Z)[A-Z_/][\w./-]*", re.ASCII | re.IGNORECASE)


def line(*words: str | Path) -> str:
    """Return a command as a shell reads it back."""
    return shlex.join(map(str, words))


def override(key: str, value: Any) -> str:
    """Return `key=value` as a shell and then Hydra's grammar read it back."""
    return line(f"{key}={spelt(value)}")


def spelt(value: Any) -> str:
    """Return a value as Hydra's grammar reads it back, not quoted for a shell yet."""
    if isinstance(value, str) and not _BARE.fullmatch(value):
        return quoted(value)
    if isinstance(value, list):
        return f"[{','.join(spelt(item) for item in value)}]"
    if isinstance(value, dict):  # Hydra's grammar has no quotes around keys
        return f"{{{','.join(f'{key}:{spelt(item)}' for key, item in value.items())}}}"
    return value if isinstance(value, str) else json.dumps(value)


def quoted(text: str) -> str:
    """Return a text in quotes, as Hydra's grammar reads it back: only quotes are escaped."""
    doubled = re.sub(r'(\\+)(?="|\Z)', r"\1\1", text)
    return '"' + doubled.replace('"', '\\"') + '"'
