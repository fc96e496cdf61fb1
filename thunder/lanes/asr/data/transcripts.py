"""Lists of transcripts as people keep them: by name what is said, and what cannot be used."""

import gzip
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from thunder.ground import digest, json_lines
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.data import recordings, transcript_formats
from thunder.lanes.asr.data.letters import Letters, named
from thunder.language import spelling

REVISION = 2  # raise it when the same file gives other texts
# Why a transcript was left out.
NOT_SPEECH = "not_speech"  # nothing but a note: [descending tones]
SILENCE = "silence"  # nothing but a note that says so
DUPLICATE = "duplicate_transcript"  # the same name and text again
CONFLICT = "conflicting_transcripts"  # the same name with another text: neither is believed
DIGITS = "digits"  # written as figures: how they are said is not known
FOREIGN = "foreign_characters"  # in its normal form, letters that the script does not have

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
    sha256: str = ""  # of the bytes that were read

    @property
    def names(self) -> set[str]:
        """Return every name that has a transcript, usable or not."""
        return {*self.texts, *(name for each in self.omitted.values() for name in each)}


def read(path: Path, format: str | None = None, letters: Letters = LATIN) -> Transcripts:
    """Read transcripts by the name of their recording, its path without suffix.

    The file may be gzipped. Notes in brackets are taken out; a text that then is not plain
    writing is left out.

    Args:
        format: one of `transcript_formats.FORMATS`; told by the name of the file if null.
        letters: that a text may have.

    Raises:
        Faults: every line that is not of the format, by its number.
    """
    data = json_lines.read(path)  # once: a pipe has nothing more to read
    seen: dict[str, list[str]] = {}
    entries = transcript_formats.entries(path, _unpacked(path, data), format)
    for name, text in entries:
        seen.setdefault(recordings.stem(name.removeprefix("./")), []).append(text)
    transcripts = Transcripts(count=len(entries), sha256=digest.of_bytes(data))
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


def _unpacked(path: Path, data: bytes) -> bytes:
    if not data.startswith(_GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ThunderError(f"{path}: broken gzip: {error}", "data") from error
