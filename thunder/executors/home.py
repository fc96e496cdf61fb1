"""What a run on a host made comes home while it goes on: as its manifest has it, or not at all."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.executors import away
from thunder.ground import files, run_files, schema
from thunder.ground.errors import Faults
from thunder.hosts import fetching
from thunder.hosts.connection import Connection
from thunder.runs import listing, mirror
from thunder.runs.run import Run

_GONE = ".gone"
_TRIES = 5  # against files that are written anew while they come
_AGAIN_SECONDS = 0.5
_LIST_SECONDS = 60.0

Artifacts = Mapping[str, Mapping[str, Any]]


def bring(
    way: Connection,
    far: str,
    own: str,
    folder: Path,
    known: listing.Digests,
    stop: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Have the artifacts of a run's folder on a host here; return those that were not.

    Files that go on changing there are brought as a later manifest lists them.

    Args:
        own: the folder there of the claim.
        known: digests of files here.

    Raises:
        Lost: the way there is gone; what came stays, and the next call goes on from there.
        Faults: what comes is never what the manifest says, or no manifest of the run is there.
    """
    wrong: list[str] = []
    for number in range(_TRIES):
        if number:
            _have_listed_anew(way, own, f"{far}/{run_files.LOCK}")
        artifacts = _artifacts(way, far)
        lacking = [name for name, one in artifacts.items() if not _is_here(folder, one, known)]
        wanted = [artifacts[name] for name in lacking]
        wrong = fetching.pull(way, far, wanted, folder, stop=stop)
        if not wrong:
            _settle(way.host.name, far, folder, artifacts, lacking)
            return lacking
    raise Faults(f"host {way.host.name}: {far}: not what its manifest says:", wrong, "write")


def _artifacts(way: Connection, far: str) -> dict[str, dict[str, Any]]:
    path = f"{far}/{run_files.MANIFEST}"
    content = way.call("read", path=path)
    title = f"host {way.host.name}: {path}:"
    if content is None:  # which says nothing of what was removed there
        raise Faults(title, ["no manifest there"], "verification")
    manifest = files.parse_json(content)
    schema.check("manifest", manifest, path, cause="crash")
    if manifest["id"] != Run(Path(far)).id:
        raise Faults(title, [f"it is of run {manifest['id']}"], "verification")
    return {one["path"]: one for one in manifest["artifacts"]}


def _have_listed_anew(way: Connection, own: str, lock: str) -> None:
    """Have the process that owns the run list what lies there now, if it lives."""
    path, deadline = f"{own}/{away.LIST}", time.monotonic() + _LIST_SECONDS
    if not way.call("is_locked", path=lock):
        return
    way.call("write", path=path, text="")
    while way.call("read", path=path) is not None and time.monotonic() < deadline:
        if not way.call("is_locked", path=lock):
            return
        time.sleep(_AGAIN_SECONDS)


def _is_here(folder: Path, artifact: Mapping[str, Any], known: listing.Digests) -> bool:
    path = folder / artifact["path"]
    if not path.is_file() or path.stat().st_size != artifact["bytes"]:
        return False
    return listing.digest_of(path, known) == (artifact["bytes"], artifact["sha256"])


def _settle(host: str, far: str, folder: Path, artifacts: Artifacts, new: Sequence[str]) -> None:
    """Have here what lies there: what is new gets its place, what was removed there goes."""
    before = mirror.read(folder).get(host, {}).get("artifacts", [])
    gone = [one for one in before if one["path"] not in artifacts]
    # Whatever lies here of that host is known, whenever this process is killed.
    mirror.note(folder, host, far, [*artifacts.values(), *gone])
    fetching.place(folder, new)
    for name in _highest_gone(folder, [one["path"] for one in gone], artifacts):
        _remove(folder / _GONE)  # of one that was killed here
        (folder / name).replace(folder / _GONE)  # at once, not file by file
        _remove(folder / _GONE)
    mirror.note(folder, host, far, [*artifacts.values()])


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def _highest_gone(folder: Path, names: Sequence[str], artifacts: Artifacts) -> Iterator[str]:
    """Yield the highest folders that nothing is listed in any more, and single files."""
    kept = {above for name in artifacts for above in Path(name).parents}
    highest = {
        next((one for one in [*Path(name).parents][-2::-1] if one not in kept), Path(name))
        for name in names
    }
    yield from (str(path) for path in sorted(highest) if (folder / path).exists())
