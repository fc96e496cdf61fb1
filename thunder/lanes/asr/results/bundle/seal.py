"""What an image says of itself: the digest of what it shows, and whether it was changed since."""

import re
import struct
import zlib
from collections.abc import Iterator, Mapping

from thunder.ground import digest

_KEY = "Description"
_SHOWS, _IS = "thunder data sha256", "image sha256"
_NONE = "0" * 64
_WORDS = re.compile(f"{_SHOWS} ([0-9a-f]{{64}}), {_IS} ([0-9a-f]{{64}})")
_PNG = b"\x89PNG\r\n\x1a\n"
_TEXT, _END = b"tEXt", b"IEND"


def metadata(shows: str) -> Mapping[str, str]:
    """Return the metadata that an SVG is drawn with, not sealed yet."""
    return {_KEY: f"{_SHOWS} {shows}, {_IS} {_NONE}"}


def sealed_png(data: bytes, shows: str) -> bytes:
    """Return a PNG with both digests in a text chunk before its end."""
    words = f"{_SHOWS} {shows}, {_IS} {digest.of_bytes(data)}"
    body = _TEXT + _KEY.encode() + b"\0" + words.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    place = data.rindex(_END) - 4
    return data[:place] + chunk + data[place:]


def sealed_svg(svg: str) -> bytes:
    """Return an SVG drawn with `metadata`, its words completed by the digest of all of it."""
    return _with(svg, digest.of_bytes(svg.encode("utf-8"))).encode("utf-8")


def shown(data: bytes) -> str | None:
    """Return the digest of what an image shows; None when it says none or was changed since."""
    try:
        return _of_png(data) if data.startswith(_PNG) else _of_svg(data.decode("utf-8"))
    except (struct.error, UnicodeDecodeError):
        return None


def _of_png(data: bytes) -> str | None:
    for start, end in _chunks(data):
        match = _WORDS.search(data[start:end].decode("latin-1"))
        if data[start + 4 : start + 8] == _TEXT and match:
            before = data[:start] + data[end:]
            return match[1] if digest.of_bytes(before) == match[2] else None
    return None


def _chunks(data: bytes) -> Iterator[tuple[int, int]]:
    start = len(_PNG)
    while start < len(data):
        end = start + 12 + int(struct.unpack_from(">I", data, start)[0])
        yield start, end
        start = end


def _of_svg(svg: str) -> str | None:
    match = _WORDS.search(svg)
    if match is None or digest.of_bytes(_with(svg, _NONE).encode("utf-8")) != match[2]:
        return None
    return match[1]


def _with(svg: str, own: str) -> str:
    return _WORDS.sub(lambda match: f"{_SHOWS} {match[1]}, {_IS} {own}", svg, count=1)
