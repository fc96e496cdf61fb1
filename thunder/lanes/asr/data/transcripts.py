"""Lists of transcripts as people keep them: by name what is said, and what cannot be used."""

import gzip
import re
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from thunder.ground import json_lines
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.data.letters import Letters, named
from thunder.lanes.asr.data.recordings import SUFFIXES
from thunder.language import spelling

REVISION = 2  # raise it when the same file gives other texts
# Why a transcript was left out.
NOT_SPEECH = "not_speech"  # nothing but a note: [descending tones]
SILENCE = "silence"  # nothing but a note that says so
DUPLICATE = "duplicate_transcript"  # the same name and text again
CONFLICT = "conflicting_transcripts"  # the same name with another text: neither is believed
DIGITS = "digits"  # written as figures: how they are said is not known
FOREIGN = "foreign_characters"  # in its normal form, letters that the script does not have

PATH_NAMES = ("path", "file", "name", "audio")
TEXT_NAMES = ("text", "sentence", "transcript")
_NOTES = re.compile(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>")
LATIN = named("latin")
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Transcripts:
    """The usable texts by name, and the others by reason and name."""

    texts: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)  # as written, where a note was taken out
    omitted: dict[str, dict[str, str]] = field(default_factory=dict)
    count: int = 0


def read(path: Path, letters: Letters = LATIN) -> Transcripts:
    """Read transcripts by the name of their recording, its path without suffix.

    *.tsv: path, tab, text; a first line with names of columns chooses among more. *.jsonl: objects
    with a path and a text. Anything else: `name: text`, `;` before a remark. Each may be gzipped.
    Notes in brackets are taken out; a text that then is not plain writing is left out.

    Raises:
        Faults: every line that is none of this, by its number.
    """
    seen: dict[str, list[str]] = {}
    entries = _entries(path)
    for name, text in entries:
        seen.setdefault(_stem(name), []).append(text)
    transcripts = Transcripts(count=len(entries))
    for name, texts in seen.items():
        _put(transcripts, name, texts, letters)
    return transcripts


def debian_license(path: Path) -> str | None:
    """Return the licence in a Debian `copyright` file beside a file, if there is one."""
    try:
        text = (path.parent / "copyright").read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    main = re.search(r"^Files: \*\n(?:.+\n)*?License: *(\S.*)$", text, re.MULTILINE)
    return main[1].strip() if main else None


def _put(transcripts: Transcripts, name: str, texts: list[str], letters: Letters) -> None:
    raw = texts[0]
    if len(set(texts)) > 1:
        transcripts.omitted.setdefault(CONFLICT, {})[name] = " | ".join(texts)
        return
    if len(texts) > 1:
        transcripts.omitted.setdefault(DUPLICATE, {})[name] = f"{raw} ({len(texts)} times)"
    plain = spelling.normalise(_NOTES.sub(" ", raw), letters.form)
    if reason := _fault(raw, plain, letters):
        transcripts.omitted.setdefault(reason, {})[name] = raw
        return
    transcripts.texts[name] = plain
    if _NOTES.search(raw):
        transcripts.changed[name] = raw


def _fault(raw: str, plain: str, letters: Letters) -> str | None:
    if not any(char.isalnum() for char in plain):
        return SILENCE if "silence" in raw.lower() else NOT_SPEECH
    if any(char.isdigit() for char in plain):
        return DIGITS
    return FOREIGN if letters.strangers(plain) else None


def _stem(name: str) -> str:
    name = unicodedata.normalize("NFC", name.removeprefix("./"))
    stem, _, suffix = name.rpartition(".")
    return stem if suffix.lower() in SUFFIXES else name


def _entries(path: Path) -> list[tuple[str, str]]:
    data = _bytes(path)
    name = path.name.removesuffix(".gz")
    if name.endswith(".jsonl"):
        entries, faults = _of_objects(data)
    else:
        numbered, faults = _decoded(data)
        entries = (
            _of_table(numbered, faults) if name.endswith(".tsv") else _of_colons(numbered, faults)
        )
    json_lines.refuse(f"{path}: broken lines: {len(faults)}", json_lines.placed(path.name, faults))
    if not entries:
        raise ThunderError(f"{path}: no transcripts", "data")
    return entries


def _bytes(path: Path) -> bytes:
    data = json_lines.read(path)
    if not data.startswith(_GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ThunderError(f"{path}: broken gzip: {error}", "data") from error


def _decoded(data: bytes) -> tuple[dict[int, str], dict[int, str]]:
    """Return the lines that are UTF-8 and not empty, and a fault for each that is not."""
    numbered: dict[int, str] = {}
    faults: dict[int, str] = {}
    for number, line in enumerate(data.removeprefix(json_lines.MARK).splitlines(), 1):
        try:
            if (text := line.decode("utf-8")).strip():
                numbered[number] = text
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            faults[number] = f"not UTF-8: byte {byte:#04x} at column {error.start + 1}"
    return numbered, faults


def _of_colons(numbered: dict[int, str], faults: dict[int, str]) -> list[tuple[str, str]]:
    entries = []
    for number, line in numbered.items():
        name, colon, transcript = (part.strip() for part in line.partition(":"))
        if line.lstrip().startswith(";"):
            continue
        if colon and name:
            entries.append((name, transcript))
        else:
            faults[number] = f"no `name: text`: {line[:60]!r}"
    return entries


def _of_table(numbered: dict[int, str], faults: dict[int, str]) -> list[tuple[str, str]]:
    rows = {number: line.split("\t") for number, line in numbered.items()}
    first = next(iter(rows.values()), [])
    heads = [cell.strip().lower() for cell in first]
    path_at, text_at = (_column(heads, names) for names in (PATH_NAMES, TEXT_NAMES))
    if path_at is None or text_at is None:  # no line of heads: two columns, and nothing else
        path_at, text_at, heads, skipped = 0, 1, ["path", "text"], 0
    else:
        skipped = 1
    entries = []
    for number, cells in list(rows.items())[skipped:]:
        if len(cells) == len(heads) and cells[path_at].strip():
            entries.append((cells[path_at].strip(), cells[text_at].strip()))
        else:
            faults[number] = f"{len(cells)} columns; needed: {', '.join(heads)}, with a tab between"
    return entries


def _column(heads: list[str], names: tuple[str, ...]) -> int | None:
    return next((heads.index(name) for name in names if name in heads), None)


def _of_objects(data: bytes) -> tuple[list[tuple[str, str]], dict[int, str]]:
    rows, faults = json_lines.rows(data)
    entries = []
    for number, row in rows.items():
        path = next(_texts(row, PATH_NAMES), None)
        text = next(_texts(row, TEXT_NAMES), None)
        if path and text is not None:
            entries.append((path, text))
        else:
            wanted = " and ".join("/".join(names) for names in (PATH_NAMES, TEXT_NAMES))
            faults[number] = f"needed are {wanted}, as text; it has {', '.join(row) or 'nothing'}"
    return entries, faults


def _texts(row: dict[str, object], names: tuple[str, ...]) -> Iterator[str]:
    return (value for name in names if isinstance(value := row.get(name), str))
