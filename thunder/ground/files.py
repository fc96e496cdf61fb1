"""Files that appear whole or not at all: written beside, synced, renamed."""

import errno
import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from thunder.ground import owned

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
UNFINISHED = ".thunder-tmp"  # ends the names of what is being written, and of nothing of others
LARGEST_BYTES = 1 << 28  # of a file that is read whole
_FRESH_SECONDS = 60.0  # younger than this, a file may have an owner that does not hold it yet
_swept: set[Path] = set()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an error of a full or broken disk say where: a write to a stream does not."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that takes a path's name in one step when the block ends well."""
    owned.check()
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=UNFINISHED, dir=path.parent)
    try:
        with naming(path), os.fdopen(descriptor, "wb") as stream:
            hold(descriptor)
            yield stream
            stream.flush()
            os.fsync(descriptor)
        os.chmod(name, 0o644)
        os.replace(name, path)
        sync(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Replace several files: all of them are on disk before the first takes its name."""
    with ExitStack() as stack:
        for path, data in contents.items():
            stream = stack.enter_context(replacing(path))
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file in one step; a crash leaves the old file or the new one."""
    with replacing(path) as stream:
        stream.write(data)


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step, in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def render_json(value: Any) -> str:
    """Return JSON as it lies on disk: readable N'Ko, sorted, indented, newline at the end."""
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one step."""
    write_text(path, render_json(value))


def open_regular(path: Path) -> IO[bytes]:
    """Open a file to be read.

    Raises:
        OSError: it cannot be, or is a pipe or a device, which may never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for its writer
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_json(path: Path) -> Any:
    """Read a JSON file, with a byte order mark or without.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: it is not JSON, nested too deep to be read, or too large.
    """
    with open_regular(path) as stream:
        if (size := os.fstat(stream.fileno()).st_size) > LARGEST_BYTES:
            raise ValueError(f"{size:,} bytes, above the {LARGEST_BYTES:,} that are read whole")
        return parse_json(stream.read().decode("utf-8-sig"))


def parse_json(source: str | bytes) -> Any:
    """Parse JSON; what is nested too deep is a ValueError, as all that cannot be parsed."""
    try:
        return json.loads(source)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def render_jsonl(rows: Iterable[Any]) -> str:
    """Return rows as JSON Lines."""
    return "".join(
        json.dumps(row, ensure_ascii=False, sort_keys=True, allow_nan=False) + "\n" for row in rows
    )


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Replace a JSON Lines file in one step."""
    write_text(path, render_jsonl(rows))


def append_text(path: Path, text: str) -> None:
    """Add text to a file, in one write."""
    owned.check()
    with naming(path), path.open("a", encoding="utf-8") as stream:
        stream.write(text)


def append_jsonl(path: Path, row: Any) -> None:
    """Add one row to a JSON Lines file, in one write."""
    append_text(path, render_jsonl([row]))


def read_jsonl(path: Path) -> Iterator[Any]:
    """Yield the rows of a JSON Lines file of our own; a torn last line is left out."""
    if not path.exists():
        return
    with open_regular(path) as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield parse_json(line)


@contextmanager
def fresh_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` by rename when the block ends well.

    A target that appeared meanwhile is kept, and the new folder is dropped.
    """
    owned.check()
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    name = tempfile.mkdtemp(prefix=f".{target.name}.", suffix=UNFINISHED, dir=target.parent)
    work = Path(name)
    descriptor = os.open(work, os.O_RDONLY)
    try:
        hold(descriptor)
        yield work
        work.chmod(0o755)
        for path in [*work.rglob("*"), work]:
            sync(path)
        try:
            work.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        sync(target.parent)
    finally:
        os.close(descriptor)
        shutil.rmtree(work, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove, once in a process, what killed processes left half-written in a folder."""
    if folder in _swept:
        return
    _swept.add(folder)
    oldest = time.time() - _FRESH_SECONDS
    with os.scandir(folder) as entries:
        torn = [one for one in entries if one.name.endswith(UNFINISHED)]
    for entry in torn:
        with suppress(OSError):  # gone by now, or held by its owner
            if entry.stat(follow_symlinks=False).st_mtime < oldest:
                _remove_unheld(Path(entry.path))


def hold(descriptor: int) -> None:
    """Mark a file or folder that is being written as ours, as long as we live."""
    with suppress(OSError):  # no locks here: then nobody sweeps either
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def _remove_unheld(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
