"""What a file says of the length of its sound, held against its bytes: never believed alone."""

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from thunder.ground.errors import reason_of
from thunder.lanes.asr.features import flac, mp3
from thunder.lanes.asr.features.rows import Unreadable

SLACK_BYTES = 64  # some writers count the header as sound
UNKNOWN_BYTES = 0x7FFF0000  # from here on, what writers to a pipe put for a size they do not know
_HEAD_BYTES = 12
_MP3 = ".mp3"  # by this name alone, files are decoded that do not begin as MP3 does
_OGG_PAGE = 27  # bytes before the sizes of its segments
_FIRST, _LAST = 2, 4  # marks of an Ogg page


@dataclass(frozen=True)
class Checked:
    """A file to decode.

    Args:
        source: for libsndfile.
        frames: MP3 whose length a decoder can only guess.
    """

    source: Path | io.BytesIO
    frames: mp3.Sound | None = None


def checked(path: Path) -> Checked:
    """Return what of a file is to be decoded.

    Raises:
        Unreadable: not a file, empty, or cut short; or its header denies sound that it holds.
    """
    size = _size(path)
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            _check_wave(file, size)
        elif head[:4] == b"OggS":
            _check_ogg(file.read())
        elif head[:4] == b"fLaC":
            corrected = flac.corrected(file.read())
            return Checked(path if corrected is None else io.BytesIO(corrected))
        elif head[:3] == b"ID3" or head[:1] == b"\xff" or path.suffix.lower() == _MP3:
            return Checked(path, frames=mp3.uncounted(file.read()))
    return Checked(path)


def _size(path: Path) -> int:
    try:
        status = path.stat()
    except OSError as error:
        raise Unreadable(f"{path.name}: {reason_of(error)}") from error
    if not stat.S_ISREG(status.st_mode):  # a pipe would never end
        raise Unreadable(f"{path.name}: not a file")
    if status.st_size == 0:
        raise Unreadable("an empty file")
    return status.st_size


def _check_wave(file: io.BufferedReader, size: int) -> None:
    """Refuse a wav file with less or more sound than it says: libsndfile reads a shorter one."""
    file.seek(_HEAD_BYTES)
    while len(chunk := file.read(8)) == 8:
        declared = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            left = size - file.tell()
            if declared >= UNKNOWN_BYTES:
                return
            if left + SLACK_BYTES < declared:
                raise Unreadable(f"truncated: {left} of {declared} bytes of sound")
            if more := _beyond(file, declared + declared % 2, size):
                raise Unreadable(
                    f"its header says {declared} bytes of sound, and {more} more follow; "
                    "write it again"
                )
            return
        file.seek(declared + declared % 2, os.SEEK_CUR)


def _beyond(file: io.BufferedReader, declared: int, size: int) -> int:
    """Return how many bytes follow the sound of a wav file that are no chunks of other things."""
    at = file.tell() + declared
    while at + 8 <= size:
        file.seek(at)
        name, length = file.read(4), int.from_bytes(file.read(4), "little")
        if not (name.isascii() and name.decode("ascii").isprintable()) or at + length > size:
            file.seek(at)
            more = size - at
            return more if more > SLACK_BYTES and any(file.read()) else 0
        at += 8 + length + length % 2
    return 0


def _check_ogg(data: bytes) -> None:
    """Refuse an ogg file whose last page is not its end, and one that holds several streams."""
    at, is_over = 0, False
    while data[at : at + 4] == b"OggS":
        mark, segments = data[at + 5 : at + 6], data[at + _OGG_PAGE - 1 : at + _OGG_PAGE]
        if not segments:
            break
        start = at + _OGG_PAGE
        body = start + segments[0]
        at = body + sum(data[start:body])
        if at > len(data):
            break
        if is_over and mark[0] & _FIRST:
            raise Unreadable("several recordings in one file: write them to files of their own")
        is_over = is_over or bool(mark[0] & _LAST)
    if not is_over:
        raise Unreadable(f"truncated: no page of its {len(data)} bytes is the last one")
