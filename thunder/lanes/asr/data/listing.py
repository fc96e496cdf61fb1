"""The transcripts of recordings in one script or several, read together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thunder.lanes.asr.data import letters, transcripts
from thunder.lanes.asr.data.letters import Letters

Asked = tuple[Letters, Path]


@dataclass(frozen=True)
class Listed:
    """What the transcripts of all scripts say together."""

    texts: dict[str, dict[str, str]]  # by name and script
    changed: dict[str, str]
    counts: list[int]  # of entries, by file
    omitted: dict[str, dict[str, str]] = field(default_factory=dict)


def read(asked: Sequence[Asked]) -> Listed:
    """Read the transcripts in every script; what one file leaves out is left out of all."""
    by_script = [(script.form.name, transcripts.read(file, script)) for script, file in asked]
    names = set.intersection(*(set(one.texts) for _, one in by_script))
    listed = Listed(
        texts={
            name: {script: one.texts[name] for script, one in by_script} for name in sorted(names)
        },
        changed={name: text for _, one in by_script for name, text in one.changed.items()},
        counts=[one.count for _, one in by_script],
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
    every = [Counter(char for text in texts for char in each.strangers(text)) for each, _ in asked]
    return min(every, key=Counter.total)
