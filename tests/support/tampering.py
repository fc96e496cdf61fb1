"""What can be done to a file by hand, by name."""

import shutil
from collections.abc import Callable
from pathlib import Path

Way = Callable[[Path, Path], None]  # the file, and the file of that name of another run


def _flipped(place: float) -> Way:
    def flip(path: Path, other: Path) -> None:
        data = bytearray(path.read_bytes())
        if data:
            data[min(int(place * len(data)), len(data) - 1)] ^= 1
        path.write_bytes(data)

    return flip


def _truncate(path: Path, other: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _empty(path: Path, other: Path) -> None:
    path.write_bytes(b"")


def _append(path: Path, other: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b'{"step": 1, "value": 0.0}\n')


def _remove(path: Path, other: Path) -> None:
    path.unlink()


def _directory(path: Path, other: Path) -> None:
    path.unlink()
    path.mkdir()


def _full_directory(path: Path, other: Path) -> None:
    _directory(path, other)
    (path / "more").write_text("more", encoding="utf-8")


def _link(path: Path, other: Path) -> None:
    path.unlink()
    path.symlink_to(other)


def _dangling_link(path: Path, other: Path) -> None:
    path.unlink()
    path.symlink_to("nothing")


def _link_to_itself(path: Path, other: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _unreadable_text(path: Path, other: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00" + path.read_bytes())


def _of_another_run(path: Path, other: Path) -> None:
    shutil.copyfile(other, path)


WAYS: dict[str, Way] = {
    "first byte flipped": _flipped(0.0),
    "middle byte flipped": _flipped(0.5),
    "last byte flipped": _flipped(1.0),
    "truncated": _truncate,
    "emptied": _empty,
    "appended to": _append,
    "no text": _unreadable_text,
    "removed": _remove,
    "a directory": _directory,
    "a directory with a file": _full_directory,
    "a link to another run's": _link,
    "a dangling link": _dangling_link,
    "a link to itself": _link_to_itself,
    "another run's": _of_another_run,
}


def tamper(path: Path, way: str, other: Path) -> bool:
    """Tamper with a file; say whether that made another one of it."""
    before = path.read_bytes()
    WAYS[way](path, other)
    return not path.is_file() or path.read_bytes() != before
