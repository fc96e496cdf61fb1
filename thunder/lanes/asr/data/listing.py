"""The transcripts of recordings in one script or several, read together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thunder.lanes.asr.data import letters, transcripts
from thunder.lanes.asr.data.letters import Letters


@dataclass(frozen=True)
class Asked:
    """A list of transcripts in one script.

    Args:
        file: may be gzipped, or a pipe.
        letters: those of the script; a text with others is left out.
        format: one of `transcript_formats.FORMATS`; told by the name of the file if null.
    """

    file: Path
    letters: Letters = transcripts.LATIN
    format: str | None = None


@dataclass(frozen=True)
class Listed:
    """What the transcripts of all scripts say together."""

    texts: dict[str, dict[str, str]]  # by name and script
    changed: dict[str, str]
    names: set[str]  # that have a transcript in a script at least, usable or not
    inputs: list[dict[str, Any]]  # the files: path, sha256 of the bytes that were read, rows
    omitted: dict[str, dict[str, str]] = field(default_factory=dict)


def read(asked: Sequence[Asked]) -> Listed:
    """Read the transcripts in every script; what one file leaves out is left out of all."""
    by_script = [
        (each.letters.form.name, transcripts.read(each.file, each.format, each.letters))
        for each in asked
    ]
    names = set.intersection(*(set(one.texts) for _, one in by_script))
    listed = Listed(
        texts={
            name: {script: one.texts[name] for script, one in by_script} for name in sorted(names)
        },
        changed={name: text for _, one in by_script for name, text in one.changed.items()},
        names={name for _, one in by_script for name in one.names},
        inputs=[
            {"path": each.file.name, "sha256": one.sha256, "rows": one.count}
            for each, (_, one) in zip(asked, by_script, strict=True)
        ],
    )
    for _, one in by_script:
        for reason, entries in one.omitted.items():
            listed.omitted.setdefault(reason, {}).update(entries)
    return listed


def outside(asked: Sequence[Asked], omitted: Mapping[str, Mapping[str, str]]) -> str:
    """Return which letters the left out texts have that the script has not."""
    foreign = strangers(asked, omitted)
    return f"; not of it are {letters.shown(foreign)}" if foreign else ""


def strangers(asked: Sequence[Asked], omitted: Mapping[str, Mapping[str, str]]) -> Counter[str]:
    """Return the letters for which texts were left out, and how often each is there."""
    texts = omitted.get(transcripts.FOREIGN, {}).values()
    every = [
        Counter(char for text in texts for char in each.letters.strangers(text)) for each in asked
    ]
    return min(every, key=Counter.total)
