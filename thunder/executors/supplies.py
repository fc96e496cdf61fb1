"""What a run reads on a host: where it lies there, brought where that is thunder's to do."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from thunder.executors import owner
from thunder.ground import digest, files, moving, run_files, wording
from thunder.ground.errors import ThunderError
from thunder.hosts import delivery, hashing, inputs, sync
from thunder.hosts.connection import Connection
from thunder.hosts.workspace import outputs_in

_SHOWN = 3
_LOOK_SECONDS = 0.5
_PROVEN = ".away/home"  # the digest of the manifest here that a needed run there was held against


def paths(
    way: Connection, document: Mapping[str, Any], runtime: Mapping[str, Any], workspace: str,
    stop: Callable[[], bool], say: Callable[[str], None],
) -> dict[str, str]:  # fmt: skip
    """Return where what a run reads lies there.

    Args:
        say: is told now and then how far what is brought is.

    Raises:
        ThunderError: the host lacks an input at the place that the site names.
    """
    config = {**document, "runtime": runtime}
    return {
        name: _bring_needed(way, Path(path), workspace, stop, say)
        if name in document.get("needs", {})
        else _input(way, config, name, stop, say)
        for name, path in runtime["paths"].items()
    }


def _input(
    way: Connection, config: Mapping[str, Any], name: str, stop: Callable[[], bool],
    say: Callable[[str], None],
) -> str:  # fmt: skip
    """Return where what a section reads lies there; what is thunder's own to bring is brought.

    Raises:
        ThunderError: the host lacks it at the place that the site names, and how to bring it.
    """
    (item,) = (one for one in inputs.of_job(config) if one.name == name)
    runtime = config["runtime"]
    place = inputs.place(way, item, runtime["site"])
    if place.is_ours or runtime.get("mend"):
        show = moving.lines(f"host {way.host.name}: {item.name} {item.label}", say)
        sync.bring(way, item, place, show, stop)
    elif lacking := [*(found := sync.state(way, item, place)).lacking, *found.differing]:
        raise ThunderError(
            f"host {way.host.name}: {item.name} {item.label} is not whole at {place.path}: "
            f"{wording.some(lacking, _SHOWN)}; bring it: "
            f"{sync.command_for(runtime, way.host.name)}",
            item.cause,
        )
    return str(way.call("placed", path=place.path))


def _bring_needed(
    way: Connection, folder: Path, workspace: str, stop: Callable[[], bool],
    say: Callable[[str], None],
) -> str:  # fmt: skip
    """Have a run that is done here, and needed, lie on a host as its manifest says."""
    run = f"{folder.parent.name}/{folder.name}"
    target = f"{outputs_in(workspace)}/{run}"
    _wait_until_free(way, target, stop)
    proof = digest.of_file(folder / run_files.MANIFEST)
    if way.call("read", path=f"{target}/{_PROVEN}") == proof:
        return target
    names = digest.visible_files(folder)
    listed = [row["path"] for row in files.read_json(folder / run_files.MANIFEST)["artifacts"]]
    if delivery.is_there(way, target) and hashing.differing(way, folder, listed, target):
        delivery.move_aside(way, target, workspace)
    show = moving.lines(f"host {way.host.name}: run {run}", say)
    delivery.bring(way, folder, names, target, stop, show)
    way.call("write", path=f"{target}/{_PROVEN}", text=proof)
    return target


def _wait_until_free(way: Connection, far: str, stop: Callable[[], bool]) -> None:
    """Wait for whoever removes a run there, or runs it: what lies there is not to be relied on."""
    while way.call("is_locked", path=owner.lock_of(far)):
        if stop():
            raise ThunderError(f"stopped while others have {far}", "stopped")
        time.sleep(_LOOK_SECONDS)
