"""What a person says of an import, what it gathers, and the manifest that tells all of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thunder.corpora import corpus
from thunder.ground import digest, wording
from thunder.lanes.asr.data import transcripts
from thunder.lanes.asr.data.listing import Asked, Listed
from thunder.language import spelling

REVISION = 2  # raise it when the same recordings and transcripts give other rows
UNREADABLE = "unreadable_audio"
OFFSET = "constant_offset"  # of what was kept, and is to be known
_TOLD = (UNREADABLE, OFFSET)  # of these each name has a reason of its own; of others, its text
_SHOWN_NAMES, _SHOWN_REASONS = 5, 8
_NUMBER = re.compile(r"\d[\d.,]*")
_REMEDIES = {transcripts.DIGITS: "; numbers must be written out as the words that are spoken"}


@dataclass(frozen=True)
class Wishes:
    """What a person says of an import besides where things are.

    Args:
        channel: that is heard of several, one of `channels.RULES`.
        most_left_out: the share of transcripts, and of recordings, that may be left out.
        license: of the recordings; read from a Debian `copyright` beside the transcripts if null.
    """

    channel: str = "mix"
    most_left_out: float = corpus.MOST_LEFT_OUT
    license: str | None = None


NOTHING_SAID = Wishes()


@dataclass(frozen=True)
class Gathered:
    """What an import gathers."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)  # by the name of the recording
    omitted: dict[str, dict[str, str]] = field(default_factory=dict)
    noticed: dict[str, dict[str, str]] = field(default_factory=dict)  # of rows that were kept

    def omit(self, reason: str, name: str, what: str) -> None:
        """Name what is left out, and why."""
        self.omitted.setdefault(reason, {})[name] = what


def left_out_lines(omitted: Mapping[str, Mapping[str, str]], verb: str = "") -> list[str]:
    """Return a line for each reason, with the first of its names; what is said of them, below.

    Args:
        verb: that a line of a reason begins with.
    """
    lines = []
    for reason, entries in omitted.items():
        shown = wording.some(list(entries), _SHOWN_NAMES)
        lines.append(f"{verb}{len(entries):,}: {reason}: {shown}{_REMEDIES.get(reason, '')}")
        lines += [f"  {line}" for line in _alike(entries)] if reason in _TOLD else []
    return lines


def _alike(entries: Mapping[str, str]) -> list[str]:
    """Return a line for what is said alike but for its numbers, most frequent first."""
    kinds: dict[str, list[str]] = {}
    for name, said in entries.items():
        kinds.setdefault(_NUMBER.sub("", said), []).append(name)
    ordered = sorted(kinds.values(), key=len, reverse=True)
    lines = []
    for first, *others in ordered[:_SHOWN_REASONS]:
        likewise = f"; likewise {wording.some(others, _SHOWN_NAMES)}" if others else ""
        lines.append(f"{len(others) + 1:,}: {first}: {entries[first]}{likewise}")
    rest = ordered[_SHOWN_REASONS:]
    return [*lines, *([f"{sum(map(len, rest)):,}: of {len(rest)} other reasons"] if rest else [])]


def manifest(
    folder: Path,
    asked: Sequence[Asked],
    listed: Listed,
    gathered: Gathered,
    wishes: Wishes,
) -> dict[str, Any]:
    """Return the manifest of a data folder but for the digests of its files."""
    changed = {name: written for name, written in listed.changed.items() if name in gathered.rows}
    return {
        "name": f"{folder.name}-{asked[0].file.name.partition('.')[0]}",
        "created_by": "thunder",
        "builder": "import_speech",
        "builder_sha256": digest.of_value({"revisions": [REVISION, transcripts.REVISION]}),
        "stand_in": False,
        "seed": None,
        "inputs": listed.inputs,
        "license": wishes.license or transcripts.debian_license(asked[0].file),
        "bridge_version": None,
        "normaliser_version": spelling.NORMALISER_VERSION,
        "counts": {
            "rows": len(gathered.rows),
            "omitted": {reason: len(names) for reason, names in gathered.omitted.items()},
            "changed": len(changed),
        },
        "seconds": round(sum(row["duration_s"] for row in gathered.rows.values()), 3),
        "omitted": gathered.omitted,
        "changed": changed,
        **({"noticed": gathered.noticed} if gathered.noticed else {}),
    }
