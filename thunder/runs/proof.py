"""Files of a run that are read only after the run's manifest has vouched for them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.ground import files, schema
from thunder.ground.errors import Faults, ThunderError
from thunder.runs import manifest
from thunder.runs.run import Run


def digests(run: Run, needed: Sequence[str], optional: Sequence[str] = ()) -> dict[str, str]:
    """Prove files of a run that is done; return the digest of each that is there, by name.

    Raises:
        Faults: a needed file is missing; a file is not listed, changed, or longer than listed.
    """
    wrong = manifest.faults_of(run.folder, run.id, (*needed, *optional))
    listed = {} if wrong else manifest.listed(run.folder, run.id)
    wrong += [f"{name}: missing" for name in needed if not wrong and name not in listed]
    present = [name for name in (*needed, *optional) if name in listed]
    wrong += [fault for name in present for fault in _grown(run.folder / name, listed[name])]
    if wrong:
        raise Faults(
            f"{run.folder}: not what its manifest says (restore it, or move the folder away):",
            list(dict.fromkeys(wrong)),
            "verification",
        )
    return {name: str(listed[name]["sha256"]) for name in present}


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a proven JSON Lines file one by one."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                row = files.parse_json(line)
            except ValueError as error:
                raise _unreadable(f"{path}:{number}", error) from error
            if not isinstance(row, dict):
                raise _unreadable(f"{path}:{number}", "it is no JSON object")
            yield row


def document(path: Path, form: str) -> dict[str, Any]:
    """Read a proven JSON object, checked against its schema.

    Args:
        form: name of the schema.
    """
    try:
        content = files.read_json(path)
    except ValueError as error:
        raise _unreadable(str(path), error) from error
    if not isinstance(content, dict):
        raise _unreadable(str(path), "it is no JSON object")
    schema.check(form, content, str(path), cause="verification")
    return content


def _grown(path: Path, artifact: Mapping[str, Any]) -> list[str]:
    """Refuse rows that were added to a run that is done; a manifest lets running ones grow."""
    size = path.stat().st_size
    if size == artifact["bytes"]:
        return []
    return [f"{path.name}: {size} bytes, the manifest has {artifact['bytes']}"]


def _unreadable(place: str, reason: object) -> ThunderError:
    return ThunderError(f"{place}: cannot be read: {reason}", "verification")
