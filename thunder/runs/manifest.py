"""Every artifact of a run with its size and digest, and the proof that they are still those."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.ground import digest, files, run_files, schema
from thunder.ground.errors import ThunderError, reason_of
from thunder.ground.wording import some
from thunder.runs import once

_SHOWN_FAULTS = 3

# Left out besides itself: the record, written last, and what changes after a run is over.
NOT_LISTED = (run_files.RECORD, run_files.MIRROR)


def write(folder: Path, run_id: str, *, leave_out: Sequence[str], keep: Sequence[str] = ()) -> None:
    """List what lies in a folder, hidden files and `leave_out` aside.

    Args:
        keep: files whose entry in the manifest of before stays as it is.
    """
    before, wrong = _read(folder, run_id) if keep else ({}, [])
    if wrong:  # a new one would vouch for whatever lies there now
        raise ThunderError(wrong[0], "verification")
    kept = {name: before[name] for name in keep if name in before}
    present = {name: artifact(folder, name) for name in _names(folder, leave_out)}
    artifacts = [artifact for _, artifact in sorted({**present, **kept}.items())]
    listing = {"id": run_id, "artifacts": artifacts}
    schema.check("manifest", listing, str(folder / run_files.MANIFEST), cause="crash")
    files.write_json(folder / run_files.MANIFEST, listing)


def fault(folder: Path, run_id: str) -> str | None:
    """Return why the manifest vouches for nothing, None when it can be read and is of the run."""
    return next(iter(_read(folder, run_id)[1]), None)


def faults(
    folder: Path, run_id: str, *, leave_out: Sequence[str], may_grow: bool = False
) -> list[str]:
    """Return what is not as the manifest says: missing, changed, or not listed.

    Args:
        may_grow: whether rows may have been added to `.jsonl` files, as by a run that went on.
    """
    expected, unread = _read(folder, run_id)
    if unread:
        return [*unread]
    stray = [name for name in _names(folder, leave_out) if name not in expected]
    wrong = [f"{name}: not in the manifest" for name in stray]
    for name, artifact in expected.items():
        wrong += _changed(folder / name, artifact, may_grow=may_grow and name.endswith(".jsonl"))
    return wrong


def faults_of(folder: Path, run_id: str, names: Sequence[str]) -> list[str]:
    """Return what is wrong with some artifacts; a run that went on may have added rows to them."""
    expected, unread = _read(folder, run_id)
    wrong = [*unread]
    for name in names:
        if name in expected:
            wrong += _changed(folder / name, expected[name], may_grow=name.endswith(".jsonl"))
        elif (folder / name).is_file() and not wrong:
            wrong.append(f"{name}: not in the manifest")
    return wrong


def bytes_of(folder: Path, run_id: str, name: str) -> int:
    """Return how many bytes of an artifact the manifest vouches for: 0 where it lists none."""
    if not os.path.lexists(folder / run_files.MANIFEST):
        return 0
    expected, unread = _read(folder, run_id)
    if unread:
        raise ThunderError(unread[0], "verification")
    return int(expected[name]["bytes"]) if name in expected else 0


def artifact(folder: Path, name: str) -> dict[str, Any]:
    """Return a file as a manifest lists it."""
    path = folder / name
    return {"path": name, "bytes": path.stat().st_size, "sha256": digest.of_file(path)}


def _names(folder: Path, leave_out: Sequence[str]) -> list[str]:
    hidden = {run_files.MANIFEST, *leave_out}
    return [name for name in digest.visible_files(folder) if name not in hidden]


def listed(folder: Path, run_id: str) -> dict[str, Any]:
    """Return the artifacts of a run by name, with `bytes` and `sha256`; none where it is broken."""
    return _read(folder, run_id)[0]


@once.remembered
def _read(folder: Path, run_id: str) -> tuple[dict[str, Any], Sequence[str]]:
    path = folder / run_files.MANIFEST
    try:
        content = files.read_json(path)
    except FileNotFoundError:
        return {}, (f"{path}: missing, so that nothing vouches for its numbers",)
    except (OSError, ValueError) as error:
        return {}, (f"{path}: cannot be read: {reason_of(error)}",)
    if broken := schema.faults("manifest", content):
        named = some([f"{fault.key}: {fault.message}" for fault in broken], _SHOWN_FAULTS)
        return {}, (f"{path}: no manifest of a run: {named}",)
    if content["id"] != run_id:
        return {}, (f"{path}: it is of run {content['id']}",)
    return {artifact["path"]: artifact for artifact in content["artifacts"]}, ()


def _changed(path: Path, artifact: Mapping[str, Any], *, may_grow: bool = False) -> list[str]:
    name, size = artifact["path"], artifact["bytes"]
    if not path.is_file():
        return [f"{name}: missing"]
    size_now = path.stat().st_size
    if size_now != size and not (may_grow and size_now > size):
        return [f"{name}: {size_now} bytes, the manifest has {size}"]
    if _digest_of_first(path, size) != artifact["sha256"]:
        return [f"{name}: its bytes are not those of the manifest (sha256 differs)"]
    return []


@once.remembered
def _digest_of_first(path: Path, size: int) -> str:
    if path.stat().st_size == size:
        return digest.of_file(path)
    with path.open("rb") as stream:
        return hashlib.sha256(stream.read(size)).hexdigest()
