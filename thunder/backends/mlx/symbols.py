"""Says which library a function comes from: by the loader for this process, by ELF for a file."""

import ctypes
import os
import struct
from pathlib import Path
from typing import BinaryIO

SYMBOL_TABLE = 11  # SHT_DYNSYM
NO_SECTION = 0  # SHN_UNDEF: the symbol lies in another library


def address(library: ctypes.CDLL, name: str) -> int | None:
    """Return where a function lies, seen from a library; from `CDLL(None)` in the global scope."""
    function = getattr(library, name, None)
    return function and ctypes.cast(function, ctypes.c_void_p).value


def file_of(library: ctypes.CDLL, name: str) -> str | None:
    """Return the path of the library that really holds a function."""
    place = address(library, name)
    info = (ctypes.c_void_p * 4)()  # Dl_info, whose first field is the path
    if not place or not ctypes.CDLL(None).dladdr(ctypes.c_void_p(place), info) or not info[0]:
        return None
    return os.fsdecode(ctypes.string_at(info[0]))


def taken_by(path: Path) -> frozenset[str]:
    """Return the names that an ELF library takes from others; raise ValueError if it is none."""
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
            (place,) = struct.unpack_from("<Q", head, 40)
            size, count = struct.unpack_from("<HH", head, 58)
            stream.seek(place)
            sections = [struct.unpack("<IIQQQQIIQQ", stream.read(size)) for _ in range(count)]
            table = next(section for section in sections if section[1] == SYMBOL_TABLE)
            symbols = _content(stream, table)
            names = _content(stream, sections[table[6]])
    except (struct.error, StopIteration) as error:
        raise ValueError(f"{path.name} is no ELF library with a symbol table") from error
    starts = (
        start
        for start, _, _, section, _, _ in struct.iter_unpack("<IBBHQQ", symbols)
        if section == NO_SECTION
    )
    return frozenset(names[start : names.index(b"\0", start)].decode() for start in starts)


def _content(stream: BinaryIO, section: tuple[int, ...]) -> bytes:
    stream.seek(section[4])
    return stream.read(section[5])
