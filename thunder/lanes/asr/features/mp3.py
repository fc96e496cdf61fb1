"""The frames of an MP3 file, counted: without a Xing header its length is a guess of decoders."""

from collections.abc import Iterator
from dataclasses import dataclass

from thunder.lanes.asr.features.rows import Unreadable

# Layer III of MPEG audio (ISO 11172-3 and 13818-3); versions 2 and 2.5 have lower rates.
_KBITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)
_VERSION_1 = 3  # bits of the version
_DIVISORS = {_VERSION_1: 1, 2: 2, 0: 4}  # of the rate, by version
_SIDE_BYTES = {(True, True): 17, (True, False): 32, (False, True): 9, (False, False): 17}
_TAG = 12  # bytes: Xing, flags, the number of frames
_UNCHECKED, _MOST_KBITS = 1, 14  # no checksum follows; 320 or 160 kbit/s
# Before the first frame there may be tags, of the size that they say; zeros; and the rest of a
# frame that was cut: at most the largest (320 kbit/s at 32 kHz), so at most 72 ms of sound.
_LARGEST = 1441
_SEARCHED = 1 << 16  # bytes after the tags in which libmpg123 finds a frame
_SLACK = 64  # bytes after the last frame that may be anything
_TAG_HEAD = 16  # bytes of a tag that tell its kind and size


@dataclass(frozen=True)
class _Frame:
    start: int
    size: int
    tag_at: int  # where a Xing or Info tag begins, if there is one
    stream: tuple[int, ...]  # what all frames of one stream share: version, rate, mono

    @property
    def samples(self) -> int:
        return 1152 if self.stream[0] == _VERSION_1 else 576

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True)
class Sound:
    """The frames of a file whose own header does not say how many they are.

    Args:
        samples: that they decode to.
    """

    samples: int
    _data: bytes
    _frames: list[_Frame]

    def stream(self) -> bytes:
        """Return the frames under a header that counts them.

        A decoder takes its own delay off the beginning, so a silent frame goes before.
        """
        header = _header(self._data, self._frames[0], len(self._frames) + 1)
        parts = (self._data[frame.start : frame.end] for frame in self._frames)
        return b"".join((header, header, *parts))


def uncounted(data: bytes) -> Sound | None:
    """Return the sound of a file without a header that counts its frames, or with one that lies.

    Raises:
        Unreadable: the file ends before its frames do, or its frames before the file.
    """
    frames = list(_frames(data))
    if not frames:
        return None  # of another format, or of a layer that is left to the decoder
    if frames[-1].end > len(data):
        left, size = len(data) - frames[-1].start, frames[-1].size
        raise Unreadable(f"truncated: its last frame has {left} of {size} bytes")
    _check_end(data, frames)
    claimed = _claimed(data, frames[0])
    sound = frames if claimed is None else frames[1:]
    if claimed and len(sound) + 1 < claimed:
        raise Unreadable(f"truncated: {len(sound)} of {claimed} frames")
    if not sound or (claimed and len(sound) <= claimed + 1):
        return None
    return Sound(len(sound) * frames[0].samples, data, sound)


def _check_end(data: bytes, frames: list[_Frame]) -> None:
    """Refuse a file that goes on after its last frame: decoders stop there, or leave a hole out."""
    rest = data[_after_tags(data, frames[-1].end) :].lstrip(b"\0")
    rest = rest[_after_tags(rest, 0) :].lstrip(b"\0")
    if len(rest) > _SLACK and not rest.startswith(b"LYRICS"):
        raise Unreadable(f"broken: {len(rest)} bytes after {len(frames)} frames are none")


def _frames(data: bytes) -> Iterator[_Frame]:
    """Yield the frames that follow each other, tags between them passed over."""
    first = frame = _first(data)
    while frame and first:
        yield frame
        frame = _frame(data, _after_tags(data, frame.end), first.stream)


def _first(data: bytes) -> _Frame | None:
    """Return the first frame, unless more stands before it than may be lost.

    Raises:
        Unreadable: there is more; what it was is not known.
    """
    after_tags = _after_tags(data, 0)
    sound = len(data) - len(data[after_tags:].lstrip(b"\0"))
    end = min(after_tags + _SEARCHED, len(data))
    at = data.find(b"\xff", sound, end)
    while at >= 0:
        frame = _frame(data, at)
        if frame and _is_followed(data, frame):
            if at - sound > _LARGEST:
                raise Unreadable(f"broken: {at - sound} bytes before its first frame are none")
            return frame
        at = data.find(b"\xff", at + 1, end)
    return None


def _is_followed(data: bytes, frame: _Frame) -> bool:
    """Say whether, after a frame, there is another one of its stream or the end."""
    following = _after_tags(data, frame.end)
    return following >= len(data) or _frame(data, following, frame.stream) is not None


def _after_tags(data: bytes, at: int) -> int:
    """Return where the ID3 and APE tags at a place end; the place itself where there are none."""
    while size := _tag_bytes(data[at : at + _TAG_HEAD]):
        at += size
    return at


def _tag_bytes(head: bytes) -> int:
    """Return the size of the tag that begins so, 0 where none does."""
    if head[:3] == b"TAG":
        return 128
    if head[:8] == b"APETAGEX":
        return 32 + int.from_bytes(head[12:], "little")
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _frame(data: bytes, at: int, stream: tuple[int, ...] | None = None) -> _Frame | None:
    """Return the frame at a place, if there is one, of the stream that is asked for."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, kbits, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or kbits in (0, 15) or rate == 3:
        return None
    is_first, is_mono = version == _VERSION_1, head[3] >> 6 == 3
    own = (version, rate, is_mono)
    if stream not in (None, own):
        return None
    hertz = _RATES[rate] // _DIVISORS[version]
    size = (144 if is_first else 72) * _KBITS[is_first][kbits] * 1000 // hertz + (head[2] >> 1 & 1)
    return _Frame(at, size, at + 4 + _SIDE_BYTES[is_first, is_mono], own)


def _claimed(data: bytes, first: _Frame) -> int | None:
    """Return the frames that a Xing header counts, 0 where it counts none; None without one."""
    if data[first.start + 36 : first.start + 40] == b"VBRI":
        return 0  # decoders do not heed it
    tag = data[first.tag_at : first.tag_at + _TAG]
    if tag[:4] not in (b"Xing", b"Info"):
        return None
    return int.from_bytes(tag[8:], "big") if tag[7] & 1 else 0


def _header(data: bytes, first: _Frame, count: int) -> bytes:
    """Return a Xing header like the frames of a file, in the largest frame, which has room."""
    one, two, three, four = data[first.start : first.start + 4]
    head = bytes((one, two | _UNCHECKED, _MOST_KBITS << 4 | three & 0x0C, four))
    frame = _frame(head, 0)
    assert frame is not None  # it is a header of the file but for its rate
    tag = b"Xing" + (1).to_bytes(4, "big") + count.to_bytes(4, "big")
    return (head.ljust(frame.tag_at, b"\0") + tag).ljust(frame.size, b"\0")
