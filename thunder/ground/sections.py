"""Values that share sections, against one schema: a section that many have is looked at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from thunder.ground import schema
from thunder.ground.schema_faults import Fault

# With these words alone a schema says of a whole no more than of its keys, one by one.
_WORDS_OF_A_WHOLE = {
    "$schema", "$id", "title", "description", "type",
    "additionalProperties", "required", "properties",
}  # fmt: skip
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class Sections:
    """The sections that schemas were found to allow.

    Args:
        right: by schema, key and object; kept, so that no other object takes its place.
    """

    folders: tuple[Path, ...]
    right: dict[tuple[str, str, int], Any] = field(default_factory=dict)

    def faults(self, name: str, value: Mapping[str, Any]) -> list[Fault]:
        """Return every fault of a value, as `schema.faults` does."""
        return [] if self._is_right(name, value) else schema.faults(name, value, self.folders)

    def _is_right(self, name: str, value: Mapping[str, Any]) -> bool:
        """Say that a value is surely right; what is not sure is left to the whole schema."""
        keys = _keys_of(name, self.folders)
        if keys is None or not keys[0] <= value.keys() <= keys[1]:
            return False
        for key, section in value.items():
            if (name, key, id(section)) not in self.right:
                if not schema.is_right(name, section, self.folders, key):
                    return False
                self.right[name, key, id(section)] = section
        return True


@cache
def _keys_of(name: str, folders: tuple[Path, ...]) -> tuple[frozenset[str], frozenset[str]] | None:
    """Return which keys a value must and may have, None for a schema that says more of a whole."""
    whole = schema.loaded(name, folders)
    says_no_more = (
        whole.keys() <= _WORDS_OF_A_WHOLE
        and whole.get("$schema") == _DRAFT
        and whole.get("type") == "object"
        and whole.get("additionalProperties") is False
    )
    may = frozenset(whole.get("properties", {}))
    # A key with a sign in it would have to be spelt otherwise to be referred to.
    if not says_no_more or not all(key.isidentifier() for key in may):
        return None
    return frozenset(whole.get("required", ())), may
