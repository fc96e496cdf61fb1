"""What `thunder verify --decode` adds: the model of a run, asked again for what its files say."""

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from thunder.ground.errors import ThunderError, message_of
from thunder.jobs import kinds
from thunder.runs import provenance, store
from thunder.runs.run import Run

_OF_HOST = ("machine", "cpu")


def check_kind(run: Run) -> None:
    """Refuse a run of a kind that has nothing to decode."""
    have = [name for name, kind in kinds.KINDS.items() if kind.decodes]
    if run.kind not in have:
        raise ThunderError(
            f"run {run.folder.name} is of kind {run.kind}; --decode is for {', '.join(have)}"
        )


def decoded(row: dict[str, Any], run: Run, outputs: Path) -> dict[str, Any]:
    """Return the row of a run that was verified with what its model says now, under `notes`."""
    function = kinds.KINDS[run.kind].decodes
    if row["result"] != "PASS" or function is None:
        return row
    try:
        found = _found(function, run, outputs)
    except (ThunderError, OSError) as error:
        return {**row, "result": "FAIL", "faults": [f"cannot be decoded: {message_of(error)}"]}
    attempt = run.record()["attempts"][-1]
    faults, notes = list(found["faults"]), [found["said"]]
    differ, is_open = [*found["near"], *found["not_looked_at"]], False
    if other := _other_machine(attempt, found["backend"]):
        notes += [f"decoded on another machine than the run was ({other})", *differ]
        is_open = bool(found["not_looked_at"])
        notes += ["whether rounding explains what was not looked at is not known"] * is_open
    else:
        faults += differ
    result = "FAIL" if faults else "UNDECIDED" if is_open else "PASS"
    return {**row, "result": result, "faults": faults, "notes": notes}


def _found(function: str, run: Run, outputs: Path) -> Mapping[str, Any]:
    kind = kinds.KINDS[run.kind]
    if missing := [name for name in kind.packages if find_spec(name) is None]:
        raise ThunderError(
            f"{', '.join(missing)} not installed: pip install 'thunder[{kind.extra}]'",
            "environment",
        )
    document, attempt = run.document(), run.record()["attempts"][-1]
    needs = {
        name: str(store.find(outputs, name, id_).folder.absolute())
        for name, id_ in document.get("needs", {}).items()
    }
    runtime = attempt["runtime"]
    paths = {**runtime["paths"], **needs}
    runtime = {**runtime, "outputs": str(outputs.absolute()), "paths": paths}
    config = {k: v for k, v in document.items() if k not in ("identity", "revision")}
    found: Mapping[str, Any] = kinds.loaded(function)(
        {**config, "runtime": runtime}, run.folder, attempt["backend"], _tell
    )
    return found


def _other_machine(attempt: Mapping[str, Any], backend: Mapping[str, Any]) -> str:
    """Say in what this machine is another one than that of an attempt; nothing where it is not."""
    host, then = provenance.host(), attempt["provenance"]["host"]
    pairs = [(key, then.get(key), host[key]) for key in _OF_HOST]
    pairs += [(key, attempt["backend"].get(key), value) for key, value in backend.items()]
    return "; ".join(f"{key} {old} → {new}" for key, old, new in pairs if old != new)


def _tell(event: Mapping[str, Any]) -> None:
    if event["event"] == "note":
        print(event["text"], file=sys.stderr)
