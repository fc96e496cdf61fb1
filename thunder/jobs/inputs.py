"""What a job reads, bound to content: a folder becomes its digest, a hub model its commit."""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thunder.config import origin
from thunder.ground import command, digest, files, folders, input_files, prose, wording
from thunder.ground.errors import Faults
from thunder.jobs import kinds
from thunder.jobs.kinds import KINDS

Origins = Callable[[], Mapping[origin.Key, str]]

_SLOW_BYTES = 4 << 30  # above this a person is told why it takes long
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LOCAL = ("127.0.0.1", "::1", "localhost")
# Where a folder that thunder built in place says so.
_MARKS = ((input_files.CONFIG, "thunder_stand_in"), (input_files.MANIFEST, "stand_in"))
_LARGE_BYTES = 32 << 20  # above this a digest is remembered, by size, times and inode


@dataclass(frozen=True)
class _Bound:
    """A source named by its content, where it lies on this machine, whether it is a stand-in."""

    source: dict[str, Any]
    path: str | None
    says_stand_in: bool


@dataclass(frozen=True)
class Known:
    """What was bound before: cells of a matrix share most of their inputs."""

    sources: dict[tuple[str, str | None], _Bound] = field(default_factory=dict)
    # By object: a section, kept so that no other takes its place; what it becomes; its source.
    sections: dict[tuple[int, str | None], tuple[dict[str, Any], dict[str, Any], _Bound]] = field(
        default_factory=dict
    )


def bind(
    config: dict[str, Any],
    known: Known | None = None,
    origins: Origins | None = None,
    reproduce: str | None = None,
) -> dict[str, Any]:
    """Return the config with every `source` named by its content; paths move to `runtime.paths`.

    Args:
        origins: where the values were set, to be told of what the site does not name.
        reproduce: the command that makes the job.

    Raises:
        Faults: folders or snapshots that this machine does not have, all of them.
    """
    known = Known() if known is None else known
    runtime = config["runtime"]
    bound, paths, marked = dict(config), dict(runtime["paths"]), []
    missing: list[_Missed] = []
    kind = KINDS.get(config.get("kind", ""))  # a site is looked at without a job
    reads = kind.reads if kind else {}
    for name, section in sources_of(config).items():
        try:
            bound[name], source = _bind_section(section, runtime["outputs"], known, reads.get(name))
        except _Missing as error:
            missing.append(_missed(name, section, str(error), runtime["site"], origins))
            continue
        if source.path is not None:
            paths[name] = source.path
            marked += [name] if source.says_stand_in else []
    missing += [_Missed(fault, True) for fault in hosts_missing(runtime["site"])]
    if missing:
        raise _not_here(missing, runtime["site"]["name"], _advice(runtime["site"], reproduce))
    marked += [name for name in (kind.stand_ins(config) if kind else ()) if name not in marked]
    bound["runtime"] = {**runtime, "paths": paths, "stand_ins": marked}
    return bound


def _missed(
    name: str,
    section: Mapping[str, Any],
    fault: str,
    site: Mapping[str, Any],
    origins: Origins | None,
) -> "_Missed":
    """Return what is missing: by its option where the site binds it, else by its key."""
    source = section["source"]
    if any(source in site.get(kind, {}).values() for kind in ("models", "data")):
        return _Missed(f"{name} {section['name']!r}: {fault}", True)
    path = (name, "source", next(iter(source)))
    place = origin.find(origins(), path) if origins else None
    key = wording.dotted(path)
    made = "make it (thunder --help corpus), or " if name == "data" else ""
    hint = "" if "hub" in source else f"; {made}set {key}=PATH"
    return _Missed(": ".join([*([place] if place else []), key, fault]) + hint, False)


def _not_here(missing: Sequence["_Missed"], site: str, advice: Sequence[str]) -> Faults:
    of_site = any(one.is_of_site for one in missing)
    head = f"site {site!r} is not ready" if of_site else "what the job reads is not"
    lines = [*(one.fault for one in missing), *advice]
    return Faults(f"{head} on this machine:", lines, "environment")


def _advice(site: Mapping[str, Any], reproduce: str | None) -> list[str]:
    """Return how this machine comes to what one of its hosts has."""
    if not site.get("hosts") or not reproduce or hosts_missing(site):
        return []
    words = reproduce.removeprefix("python -m thunder ")
    return [f"what one of its hosts has whole is brought here by: thunder sync {words}"]


def sources_of(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the sections of a config that read something, by name."""
    return {k: v for k, v in config.items() if isinstance(v, dict) and "source" in v}


def stand_ins(config: Mapping[str, Any]) -> list[str]:
    """Return the inputs that are stand-ins: built by a recipe, small, or saying so themselves."""
    return sorted({*recipes_of(config), *config["runtime"]["stand_ins"]})


def recipes_of(config: Mapping[str, Any]) -> list[str]:
    """Return the inputs that are built in place."""
    return [name for name, section in sources_of(config).items() if "recipe" in section["source"]]


def hub_snapshot(repository: str, commit: str) -> Path | None:
    """Return the folder of a hub model in this machine's cache, without asking the network."""
    root = hub_folder(repository)
    reference = root / "refs" / commit
    is_inside = (root / "refs") in Path(os.path.normpath(reference)).parents
    is_known = is_inside and reference.is_file()  # a branch may have a / in its name
    full_commit = reference.read_text(encoding="utf-8").strip() if is_known else commit
    folder = root / "snapshots" / full_commit
    return folder if _COMMIT.fullmatch(full_commit) and folder.is_dir() else None


def hub_folder(repository: str) -> Path:
    """Return the folder of a repository in the hub's cache on this machine."""
    return hub_cache() / f"models--{repository.replace('/', '--')}"


def _no_snapshot(repository: str, commit: str) -> str:
    """Return that this machine has not got a hub model, and the command that brings it."""
    if re.fullmatch(r"[0-9a-f]{4,39}", commit):
        have = sorted(path.name for path in hub_folder(repository).glob(f"snapshots/{commit}*"))
        whole = f": {', '.join(have)}" if have else ""
        return f"{commit} is the beginning of a commit of {repository}; give all 40 digits{whole}"
    fetch = command.line("hf", "download", repository, "--revision", commit)
    return f"no snapshot of {repository} ({commit}) in {hub_cache()}; fetch it with: {fetch}"


def hub_cache() -> Path:
    """Return where the hub's cache lies on this machine."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or os.path.join(home, "huggingface")
    cache = os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")
    return Path(os.path.expanduser(os.path.expandvars(cache)))


@dataclass(frozen=True)
class _Missed:
    """What is not on this machine, and whether the site says that it is."""

    fault: str
    is_of_site: bool


class _Missing(Exception):
    """What a source names is not on this machine."""


def _bind_section(
    section: dict[str, Any], outputs: str, known: Known, reads: str | None
) -> tuple[dict[str, Any], _Bound]:
    remembered = known.sections.get((id(section), reads))
    if remembered is None:  # cells that share a section share what it becomes
        bound = _bind_source(section["source"], outputs, known, reads)
        remembered = (section, {**section, "source": bound.source}, bound)
        known.sections[id(section), reads] = remembered
    return remembered[1], remembered[2]


def _bind_source(source: dict[str, Any], outputs: str, known: Known, reads: str | None) -> _Bound:
    key = (repr(source), reads)
    if key not in known.sources:
        by_content, path = _bind_one(source, Path(outputs) / folders.CACHE, reads)
        is_marked = path is not None and _says_stand_in(path)
        known.sources[key] = _Bound(by_content, None if path is None else str(path), is_marked)
    return known.sources[key]


def _bind_one(
    source: dict[str, Any], cache: Path, reads: str | None
) -> tuple[dict[str, Any], Path | None]:
    if "folder" in source:
        folder = Path(os.path.expanduser(source["folder"])).absolute()
        if not folder.is_dir():
            raise _Missing(f"no folder {folder}")
        return {"digest": folder_digest(folder, cache, reads)}, folder
    if "file" in source:
        file = Path(os.path.expanduser(source["file"])).absolute()
        if not file.is_file():
            raise _Missing(f"no file {file}")
        return {"digest": digest.of_file(file)}, file
    if "hub" in source:
        snapshot = hub_snapshot(source["hub"], source["commit"])
        if snapshot is None:
            raise _Missing(_no_snapshot(source["hub"], source["commit"]))
        return {"hub": source["hub"], "commit": snapshot.name}, snapshot
    if "recipe" in source:
        return {**source, "builder": kinds.loaded(kinds.recipes()[source["recipe"]])(source)}, None
    return source, None


def _says_stand_in(folder: Path) -> bool:
    """Say whether a folder carries the mark that thunder puts into what it builds in place."""
    for name, mark in _MARKS:
        with suppress(OSError, ValueError, AttributeError):
            if files.read_json(folder / name).get(mark) is True:
                return True
    return False


def hosts_missing(site: Mapping[str, Any]) -> list[str]:
    """Return why runs, or their ranks, cannot be where a site says."""
    known, wanted = site.get("hosts", {}), site["ranks_on"]
    # A single host of no description is this one, by whatever address others know it.
    far = [host["name"] for host in wanted if len(wanted) > 1 and host["address"] not in _LOCAL]
    far += [] if site["runs_on"] == "local" else site["runs_on"]
    strange = [name for name in dict.fromkeys(far) if name not in known]
    return [
        f"host {name!r} is not described{wording.nearest(name, list(known))}: add hosts.{name} "
        "to the site"
        for name in strange
    ]


def folder_digest(folder: Path, cache: Path, reads: str | None) -> str:
    """Return the digest of the files in a folder that count.

    Args:
        reads: the function of a kind that tells which are read; else all that any loader may open.
    """
    names = counted(folder, reads)
    if odd := [name for name in names if not wording.is_text(name)]:
        raise _Missing(f"{folder}: {odd[0]!a} is not a name in UTF-8")
    size = sum((folder / name).stat().st_size for name in names)
    if size <= _LARGE_BYTES:
        return digest.of_folder(folder, names)
    memory = cache / "digests" / f"{digest.of_value(_stamp(folder, names))}.json"
    if sha256 := _remembered(memory):
        return sha256
    if size > _SLOW_BYTES:
        print(f"reading {size / 1e9:,.0f} GB in {folder}, once, to name them", file=sys.stderr)
    sha256 = digest.of_folder(folder, names)
    with suppress(OSError):  # a memory that cannot be kept costs time alone
        files.write_json(memory, {"folder": str(folder), "digest": sha256})
    return sha256


def counted(folder: Path, reads: str | None) -> list[str]:
    """Return the files of a folder that count: they name it, and no other is read of it.

    Args:
        reads: the function of a kind that tells which; else all that any loader may open.
    """
    if reads:
        return [*kinds.loaded(reads)(folder)]
    return [name for name in digest.visible_files(folder) if not prose.is_prose(name)]


def _remembered(memory: Path) -> str | None:
    try:
        sha256 = str(files.read_json(memory)["digest"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return sha256 if re.fullmatch(r"[0-9a-f]{64}", sha256) else None


def _stamp(folder: Path, names: Sequence[str]) -> list[list[str]]:
    rows = []
    for path in (folder / name for name in names):
        stat = path.stat()
        # The time of change, too: the time of writing can be set back.
        numbers = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        rows.append([str(path), *map(str, numbers)])
    return rows
