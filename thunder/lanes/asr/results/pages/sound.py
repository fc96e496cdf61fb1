"""The recordings behind rows of a page, found through the run's data; a page does without them."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thunder.ground import json_lines
from thunder.ground.errors import ThunderError, message_of
from thunder.lanes.asr.data import folder as data_folders
from thunder.lanes.asr.data import pair, recordings
from thunder.lanes.asr.features import channels
from thunder.lanes.asr.features.layouts import SAMPLE_RATE
from thunder.lanes.asr.features.rows import Rejected, Row
from thunder.lanes.asr.results.pages import picture, timed

MOST_BYTES = 24_000_000  # of all recordings of a page
_SAME_SECONDS = 0.05  # a length that the data say themselves may be rounded

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Sounds:
    """What a page has of the recordings of its rows.

    Args:
        rows: what is drawn and heard of a row, by its id.
        missing: why a row has nothing, by its id.
        no_room: ids of rows that are drawn and not heard, so that the page stays small enough.
        reason: why no row has anything.
    """

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    no_room: list[str] = field(default_factory=list)
    reason: str | None = None

    def of(self, feat_id: str) -> dict[str, Any]:
        """Return what the page has of a row, and why it has nothing."""
        return {"sound": self.rows.get(feat_id), "no_sound": self.missing.get(feat_id)}


def of_rows(config: Mapping[str, Any], rows: Rows, frame_seconds: float) -> Sounds:
    """Return the recordings of rows of predictions, in their order while there is room.

    Args:
        config: of the run, with the runtime that says where its data lie.
        frame_seconds: of one frame of the model's output.
    """
    if not all("char_frames" in row for row in rows):
        return Sounds(reason="the run is from before dumps had the frames of each character")
    folder = data_folders.place(config)
    if not folder.is_dir():
        return Sounds(reason="the data of the run are not where they were")
    try:
        named = _files(folder, config["data"], {row["feat_id"] for row in rows})
        if not named:
            return Sounds(reason="the data of the run have no recordings of these rows")
        return _gathered(folder, named, config, rows, frame_seconds)
    except ImportError as error:
        return Sounds(reason=f"the module {error.name} is not installed")
    except (ThunderError, OSError) as error:
        return Sounds(reason=message_of(error))


def _gathered(
    folder: Path, named: Mapping[str, str], config: Mapping[str, Any], rows: Rows, frame: float
) -> Sounds:
    from thunder.lanes.asr.features import audio  # of the extra: a page is made without it too

    features = config["features"]
    limit, channel = float(features["seconds"]), features.get("channel", channels.MIX)
    sounds, room = Sounds(), MOST_BYTES
    for row in rows:
        name = row["feat_id"]
        heard = audio.of_row(folder, Row(name, 0, named.get(name), None), limit, channel)
        if isinstance(heard, Rejected) or not _is_of(row, heard.duration_s):
            changed = "its recording has another length than what was heard"
            sounds.missing[name] = heard.reason if isinstance(heard, Rejected) else changed
            continue
        encoded = audio.flac(heard.samples)
        room -= len(encoded)
        if room < 0:
            sounds.no_room.append(name)
        seconds = len(heard.samples) / SAMPLE_RATE
        sounds.rows[name] = {
            "seconds": seconds,
            "audio": _as_text(encoded) if room >= 0 else None,
            "picture": _as_text(picture.png(heard.samples)),
            **timed.letters(row, frame, seconds),
        }
    return sounds


def _is_of(row: Mapping[str, Any], seconds: float) -> bool:
    """Say whether a recording can be that of a row: it may have been exchanged since."""
    return bool(abs(seconds - row["duration_s"]) <= _SAME_SECONDS)


def _files(folder: Path, data: Mapping[str, Any], ids: set[str]) -> dict[str, str]:
    """Return the recording of each id that has one, relative to the data folder."""
    named = dict(_named(folder / data["pairs"], data["id"], ids))
    listed = recordings.find(folder)
    return {**{name: path for name in ids if (path := listed.of(name))}, **named}


def _named(path: Path, id_column: str, ids: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the recordings that the rows of a pairs file name themselves."""
    with path.open("rb") as stream:
        for line in stream:
            for raw in json_lines.rows(line)[0].values() if b'"audio"' in line else ():
                row, fault = pair.of(raw, {"feat_id": id_column})
                if fault is None and row["audio"] and row["feat_id"] in ids:
                    yield row["feat_id"], row["audio"]


def _as_text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
