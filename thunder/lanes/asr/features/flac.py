"""The samples of a FLAC file, by its last frame: its header need not know them."""

from thunder.lanes.asr.features.rows import Unreadable

# The format is RFC 9639.
_BLOCKS = 10  # where 16 bits of the header have the most samples of a frame
_LARGEST = 15  # where 24 bits of it have the bytes of the largest frame, 0 where unknown
_TOTAL = 21  # where 36 bits of it have the number of samples, four of them in the first byte
_TOTAL_MASK = (1 << 36) - 1
_HEADER = 42  # bytes
_SECOND = 8  # bytes that a file begins with, and that no frame holds but by a rare chance
_LONGEST_FRAME = 1 << 20  # bytes that are looked through for the last one, if it is unknown
_CRC_8, _CRC_16 = 0x107, 0x18005


def corrected(data: bytes) -> bytes | None:
    """Return a file whose header has the samples that its frames have, None where it has them.

    Raises:
        Unreadable: the file ends before its frames do.
    """
    if len(data) < _HEADER:
        raise Unreadable(f"truncated: {len(data)} bytes are less than its header")
    if data.find(data[:_SECOND], _SECOND) > 0:
        raise Unreadable("several recordings in one file: write them to files of their own")
    claimed = int.from_bytes(data[_TOTAL : _TOTAL + 5], "big") & _TOTAL_MASK
    counted = _counted(data, claimed)
    if counted is None and not claimed:
        raise Unreadable("truncated: its last frame is not whole")
    if counted is None or counted == claimed:
        return None  # bytes that are no frames may follow the last one
    if counted < claimed:
        raise Unreadable(f"truncated: {counted} of {claimed} samples")
    kept = int.from_bytes(data[_TOTAL : _TOTAL + 5], "big") & ~_TOTAL_MASK
    return data[:_TOTAL] + (kept | counted).to_bytes(5, "big") + data[_TOTAL + 5 :]


def _counted(data: bytes, claimed: int) -> int | None:
    """Return the samples up to the end of a file, if it ends with a whole frame.

    A frame that ends where the header says is not summed: the decoder does that, and faster.
    """
    largest = int.from_bytes(data[_LARGEST : _LARGEST + 3], "big") or _LONGEST_FRAME
    at, first = len(data), max(len(data) - largest, _HEADER)
    remainder, summed = 0, len(data)
    while (at := data.rfind(b"\xff", first, at)) >= 0:
        if data[at + 1 : at + 2] not in (b"\xf8", b"\xf9"):
            continue
        counted = _end_of_frame(data, at)
        if counted and counted != claimed:
            remainder, summed = _backwards(data[at:summed], remainder), at
        if counted and (counted == claimed or not remainder):
            return counted
    return None


def _end_of_frame(data: bytes, at: int) -> int | None:
    """Return the samples up to the end of the frame at a place, if its header is one."""
    head = data[at : at + 16]
    if len(head) < 6:
        return None
    block, rate, more = head[2] >> 4, head[2] & 15, _more(head[4])
    number = head[4] & (0xFF >> (more + 2) if more else 0x7F)
    for byte in head[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    after = 5 + more
    size_bytes = {6: 1, 7: 2}.get(block, 0)
    end = after + size_bytes + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    samples = _block(block, head[after : after + size_bytes])
    if not samples or _crc_8(head[: end + 1]):
        return None
    is_variable = head[1] == 0xF9
    before = number if is_variable else number * int.from_bytes(data[_BLOCKS : _BLOCKS + 2], "big")
    return before + samples


def _more(byte: int) -> int:
    """Return how many bytes follow the first one of a number that is coded as UTF-8 is."""
    ones = 8 - (byte ^ 0xFF).bit_length()
    return max(ones - 1, 0)


def _block(code: int, given: bytes) -> int:
    """Return the samples of a frame by their code."""
    if code in (6, 7):
        return int.from_bytes(given, "big") + 1
    if code == 1:
        return 192
    return 576 << code - 2 if 2 <= code <= 5 else 256 << code - 8 if code >= 8 else 0


def _crc_8(data: bytes) -> int:
    """Return a checksum; 0 for data that ends with its own."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value << 1 ^ (_CRC_8 if value & 0x80 else 0)
    return value


def _divided(byte: int) -> int:
    """Return a byte, as a polynomial, by x^8, modulo that of CRC-16."""
    for _ in range(8):
        byte = (byte ^ (_CRC_16 if byte & 1 else 0)) >> 1
    return byte


_DIVIDED = tuple(map(_divided, range(256)))


def _backwards(data: bytes, remainder: int) -> int:
    """Return the CRC-16 of bytes and of those after them, divided by a power of x.

    It is 0 where the checksum is; and summed from the end, the bytes after a place are summed
    once, however many places before it may begin a frame.

    Args:
        remainder: what was returned for the bytes after these, 0 where there are none.
    """
    for byte in reversed(data):
        remainder = remainder >> 8 ^ _DIVIDED[remainder & 0xFF] ^ byte
    return remainder
