"""The one rule of which letters a script has: for vocabularies, imports, and before features."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.ground import digest, files, json_lines
from thunder.ground.errors import ThunderError, of_os_error
from thunder.lanes.asr import scripts
from thunder.language import spelling

NKO = tuple(chr(point) for point in range(0x07C0, 0x0800))
LATIN = tuple("abcdefghijklmnopqrstuvwxyzɛɔŋɲàèéìòù")
# 66 and 40 classes with the blank, as published; the apostrophe is the one of the normal form.
NAMED = {"nko": (*NKO, " "), "latin_bambara": (*LATIN, " ", "’", "-")}
WORST_SHOWN = 8
# Punctuation to Unicode, and put aside by the normal form; but a speaker says a word for it.
_SPOKEN = frozenset("#%&*/@\\§٪")
_NEIGHBOUR = "\u07ca"  # a vowel that no mark makes another character of


@dataclass(frozen=True)
class Letters:
    """A script as its texts are judged: by their normal form, so that É is é."""

    form: spelling.Script
    characters: tuple[str, ...] | None  # None: those of the training rows

    def strangers(self, text: str) -> list[str]:
        """Return the characters of a text that the script does not have, and signs for words."""
        normal = spelling.scored(text, self.form, spelling.MAIN)
        spoken = [char for char in text if char in _SPOKEN]
        if self.characters is None:
            return [*spoken, *(char for char in normal if spelling.is_control(char))]
        return [*spoken, *(char for char in normal if char not in self.characters)]


def of(config: Mapping[str, Any]) -> Letters:
    """Return the letters of the script of a settled config."""
    source = scripts.letters_of(config)
    rules = form(config)
    return Letters(rules, _characters(source, config["runtime"]["paths"], rules))


def named(script: str) -> Letters:
    """Return the letters of a script that is known by its name."""
    if script not in scripts.BUILT_IN:
        known = ", ".join(scripts.BUILT_IN)
        raise ThunderError(f"letters: no script {script!r}; there is {known}, known by name")
    source = scripts.BUILT_IN[script]["source"]
    return Letters(spelling.script(script), NAMED[source["letters"]])


def form(config: Mapping[str, Any]) -> spelling.Script:
    """Return the rules of spelling of the script of a settled config."""
    return spelling.form(config["script"], scripts.normaliser(config))


def from_texts(normal: Iterable[str]) -> tuple[str, ...]:
    """Return the characters of texts in their normal form, and the space, in order of code."""
    return tuple(sorted({" ", *(char for text in normal for char in text)}))


def shown(foreign: Counter[str]) -> str:
    """Return the most frequent of strange characters, each with its code and number."""
    return ", ".join(
        f"{char!r} (U+{ord(char):04X}) {number}×"
        for char, number in foreign.most_common(WORST_SHOWN)
    )


def _characters(
    source: Mapping[str, Any], paths: Mapping[str, str], form: spelling.Script
) -> tuple[str, ...] | None:
    if "letters" in source:
        return None if source["letters"] == scripts.FROM_DATA else NAMED[source["letters"]]
    path = Path(source["file"] if "file" in source else paths[scripts.SECTION])
    if "digest" in source and digest.of_file(path) != source["digest"]:
        raise ThunderError(f"{path}: the content changed since the job was named", "data")
    return read(path, form)


def read(path: Path, form: spelling.Script) -> tuple[str, ...]:
    """Read a file of letters: one a line, a list in JSON, or a vocab.json of a run.

    They are put into the normal form of texts, so a capital is its small letter and ' is ’; the
    space is added.

    Raises:
        Faults: every line that is no single letter, by its number, and all that texts are rid of.
    """
    letters: dict[str, None] = {}
    faults: dict[int, str] = {}
    for number, letter in enumerate(_entries(path), 1):
        if fault := _fault(letter, form):
            faults[number] = fault
        elif letter:
            letters[_normal(letter, form)] = None
    json_lines.refuse(f"{path}: not letters: {len(faults)}", json_lines.placed(path.name, faults))
    if not letters:
        raise ThunderError(f"{path}: no letters; one a line is needed, or a list in JSON", "data")
    return tuple(dict.fromkeys([*letters, " "]))


def _fault(letter: str, form: spelling.Script) -> str | None:
    """Return why an entry is no letter; an empty line is none, and does no harm."""
    composed, normal = unicodedata.normalize("NFC", letter), _normal(letter, form)
    count = max(len(composed), len(normal))
    if count > 1:
        return f"{letter!r} is {count} characters: a letter is one"
    if composed and spelling.is_control(composed):
        return f"{letter!a} cannot be seen in a text"
    if composed and not normal:
        return f"{letter!r} is put aside when a text is read: take it out"
    return None


def _normal(letter: str, form: spelling.Script) -> str:
    """Return the normal form of a letter between two others: apostrophes are kept there alone."""
    between = f"{_NEIGHBOUR}{letter}{_NEIGHBOUR}"
    return spelling.scored(between, form, spelling.MAIN)[1:-1]


def _entries(path: Path) -> Sequence[str]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        document = files.parse_json(text) if text.lstrip().startswith(("[", "{")) else None
    except OSError as error:
        raise ThunderError(of_os_error(error, path), "data") from error
    except ValueError as error:
        raise ThunderError(f"{path}: neither UTF-8 lines nor JSON: {error}", "data") from error
    if document is None:
        return [line if line == " " else line.strip() for line in text.splitlines()]
    tokens = document.get("tokens") if isinstance(document, dict) else document
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise ThunderError(f'{path}: a list of letters is needed: ["a", "b"]', "data")
    blank = document.get("blank") if isinstance(document, dict) else None
    return [token for number, token in enumerate(tokens) if number != blank]
