"""A manifest of a run that goes on: what is added to meanwhile is listed as far as it was read."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thunder.ground import digest, files, run_files
from thunder.runs import manifest

# By path: size, time and inode of a file that was read, and its digest.
Digests = dict[str, tuple[tuple[int, int, int], str]]
OURS = (run_files.MANIFEST, *manifest.NOT_LISTED)


def write(folder: Path, run_id: str, known: Digests) -> None:
    """Write the manifest of what lies in a folder now; what vanishes meanwhile is left out.

    Args:
        known: what was read before, and not again unless it changed.
    """
    files.write_json(
        folder / run_files.MANIFEST, {"id": run_id, "artifacts": [*_artifacts(folder, known)]}
    )


def digest_of(path: Path, known: Digests) -> tuple[int, str]:
    """Return the size of a file and the digest of so many bytes; it may grow meanwhile."""
    with path.open("rb") as stream:
        stat = os.fstat(stream.fileno())
        stamp = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        before = known.get(str(path))
        if before is None or before[0] != stamp:
            known[str(path)] = (stamp, _digest_of_first(stream, stat.st_size))
    return stat.st_size, known[str(path)][1]


def _artifacts(folder: Path, known: Digests) -> Iterator[dict[str, Any]]:
    for name in digest.visible_files(folder):
        if name not in OURS:
            try:
                size, sha256 = digest_of(folder / name, known)
            except FileNotFoundError:
                continue
            yield {"path": name, "bytes": size, "sha256": sha256}


def _digest_of_first(stream: Any, size: int) -> str:
    sha256 = hashlib.sha256()
    while size and (block := stream.read(min(size, digest.BLOCK_BYTES))):
        sha256.update(block)
        size -= len(block)
    return sha256.hexdigest()
