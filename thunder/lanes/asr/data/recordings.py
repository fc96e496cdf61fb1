"""Which recording belongs to which id: the folder audio/, listed once."""

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from thunder.ground.errors import ThunderError, of_os_error

SUFFIXES = ("wav", "flac", "ogg", "mp3")
FOLDER = "audio"


@dataclass(frozen=True)
class Recordings:
    """What lies in audio/, by id in NFC: some file systems hand out names in NFD."""

    first: dict[str, str]
    several: dict[str, list[str]]  # all paths of an id that has more than one

    def of(self, feat_id: str) -> str | None:
        """Return the path of an id's recording, relative to the data folder."""
        return self.first.get(unicodedata.normalize("NFC", feat_id))

    def rivals(self, feat_id: str) -> list[str]:
        """Return the paths of an id that has more than one recording."""
        return self.several.get(unicodedata.normalize("NFC", feat_id), [])


def stem(name: str) -> str:
    """Return a name in NFC without the suffix of a recording; `wav` alone is a name."""
    name = unicodedata.normalize("NFC", name)
    return name.rpartition(".")[0] if is_recording(name) else name


def is_recording(name: str) -> bool:
    """Say whether a name has the suffix of a recording, and something before it."""
    before, _, suffix = name.rpartition(".")
    return suffix.lower() in SUFFIXES and bool(before.rpartition("/")[2])


def find(folder: Path) -> Recordings:
    """List audio/<id>.{wav,flac,ogg,mp3} of a data folder; there may be no such folder."""
    first: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    for name in _names(folder / FOLDER):
        if is_recording(name):
            key = stem(name)
            path = f"{FOLDER}/{name}"
            if key in first:
                several.setdefault(key, [first[key]]).append(path)
            first.setdefault(key, path)
    return Recordings(first, several)


def _names(folder: Path) -> list[str]:
    try:
        # Hidden files do not name the data, so nothing of them may count.
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ThunderError(of_os_error(error, folder), "data") from error
