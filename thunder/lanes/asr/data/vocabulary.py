"""The characters a model can write: one class each; the only source of the blank's index."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from thunder.ground import digest, files, schema, wording
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.data import letters

VERSION = 1  # raise it when `make` gives other tokens, or the same in another order
BLANK = "<blank>"
_SHOWN = 5


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by class; every token but the blank is one character."""

    tokens: tuple[str, ...]
    blank: int
    script: str
    version: int

    @property
    def document(self) -> dict[str, Any]:
        """The content of vocab.json."""
        return {
            "blank": self.blank,
            "script": self.script,
            "tokens": list(self.tokens),
            "version": self.version,
        }

    @property
    def digest(self) -> str:
        """The sha256 of the document."""
        return digest.of_value(self.document)

    def encode(self, text: str) -> tuple[list[int], list[str]]:
        """Return the classes of a text, and the characters that no class stands for.

        Latin is read in lower case. The text counts in NFC: é is one character, one class.
        """
        composed = unicodedata.normalize("NFC", text)
        folded = composed.lower() if self.script == "latin" else composed
        classes = [self._classes[char] for char in folded if char in self._classes]
        return classes, [char for char in folded if char not in self._classes]

    def decode(self, classes: Iterable[int]) -> str:
        """Return the text of classes that are collapsed already; a blank among them is dropped."""
        return "".join(self.tokens[index] for index in classes if index != self.blank)

    @cached_property
    def _classes(self) -> dict[str, int]:
        """The class of each character; the blank is none."""
        return {token: i for i, token in enumerate(self.tokens) if i != self.blank}


def make(script: str, characters: Iterable[str] | None = None) -> Vocabulary:
    """Return the vocabulary of a script; the blank is class 0.

    Args:
        characters: None: those of a script that is known by its name.
    """
    known = letters.named(script).characters if characters is None else characters
    return Vocabulary((BLANK, *(known or ())), 0, script, VERSION)


def of(config: Mapping[str, Any], train: Iterable[str]) -> Vocabulary:
    """Return the vocabulary of a job.

    Args:
        train: the texts of the training rows in their normal form.
    """
    known = letters.of(config).characters
    return make(config["script"], letters.from_texts(train) if known is None else known)


def load(path: Path) -> Vocabulary:
    """Read a vocab.json, wherever its blank is.

    Raises:
        ThunderError: the file is missing, not JSON, or no vocabulary.
    """
    document = schema.read("vocab", path)
    _check(document, path)
    return Vocabulary(
        tuple(document["tokens"]), document["blank"], document["script"], document["version"]
    )


def write(path: Path, vocabulary: Vocabulary) -> None:
    """Write a vocab.json."""
    schema.check("vocab", vocabulary.document, str(path), cause="crash")
    files.write_json(path, vocabulary.document)


def _check(document: Mapping[str, Any], path: Path) -> None:
    """Refuse what a schema cannot see: a blank beyond the end, a token that is no character."""
    tokens, blank = document["tokens"], document["blank"]
    if blank >= len(tokens):
        raise ThunderError(
            f"{path}: blank is class {blank}, and there are {len(tokens)} tokens: "
            f"0 to {len(tokens) - 1} are allowed",
            "data",
        )
    long = [token for i, token in enumerate(tokens) if i != blank and len(token) != 1]
    if long:
        raise ThunderError(
            f"{path}: {wording.some([*map(repr, long)], _SHOWN)}: a token other than the blank "
            "is one character",
            "data",
        )
