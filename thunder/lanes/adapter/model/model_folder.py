"""Checks offline whether a model folder is complete.

It needs the standard library alone: `python3 - FOLDER < model_folder.py` checks a folder over ssh.
"""

from __future__ import annotations  # for the python3 of macOS, which is 3.9

import fnmatch
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOKENIZERS = ("tokenizer.json", "tokenizer.model")
REQUIRED = ("config.json", "tokenizer_config.json")
INDEX = "model.safetensors.index.json"
WEIGHTS = "model*.safetensors"
# What `mlx_lm.load` reads, so what two equal models have in common.
MATTERS = (
    *("config.json", "generation_config.json", "tokenizer*", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.*", "merges.txt", "chat_template*", WEIGHTS),
)
SHARD = re.compile(r"(model.*)-\d{5}-of-(\d{5})\.safetensors")
HUB_HASH = "[0-9a-f]{40}|[0-9a-f]{64}"
LONGEST_HEADER_BYTES = 100_000_000
BLOCK_BYTES = 1 << 22

Faults = list[str]
Sizes = dict[str, int]
Shards = dict[str, Sizes]
Listed = dict[str, dict[str, Any]]


def digest(folder: Path) -> str:
    """Return the identity of a model's content; all weights are read, so the caller keeps it."""
    hashes = {n: _hash(folder / n, hashlib.sha256()) for n in _present(folder) if _matters(n)}
    listing = json.dumps(hashes, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(listing.encode("utf-8")).hexdigest()


def check(folder: Path, deep: bool = False) -> tuple[Faults, dict[str, Any]]:
    """Return what is wrong with a model folder, a sentence each, and what was looked at.

    Args:
        deep: hash every file that the hub named by its content; in a plain folder there is none.
    """
    root, commit = _hub_place(folder)
    facts: dict[str, Any] = {"files": 0, "bytes": 0, "commit": commit, "deep": False}
    if not folder.is_dir():
        return ["no such folder"], facts
    present = _present(folder)
    facts |= {"files": len(present), "bytes": sum(present.values())}
    listed = _listed(root, commit)
    faults = [*_dangling(folder), *_interrupted(folder, root, listed)]
    faults += _missing(folder, present, (*REQUIRED, TOKENIZERS[0]) if deep else REQUIRED)
    faults += [*_broken_weights(folder, present), *_unlike_hub(folder, present, listed)]
    if deep:
        hashes = _hub_hashes(folder, present, listed)
        faults += _changed(folder, hashes)
        facts["deep"] = bool(hashes)
    return faults, facts


def _hub_place(folder: Path) -> tuple[Path | None, str | None]:
    """Return the repository's folder in a hub cache and the commit, if this is a snapshot."""
    place = Path(os.path.abspath(folder))
    root = place.parent.parent
    is_snapshot = place.parent.name == "snapshots" and root.name.startswith("models--")
    return (root, place.name) if is_snapshot else (None, None)


def _listed(root: Path | None, commit: str | None) -> Listed:
    """Return the hub's list of the files of this commit, where its client left one."""
    try:
        return dict(read_object(root / "trees" / f"{commit}.json")["files"]) if root else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        # The hub's client keeps its own notes in `.cache`.
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in sorted(names))


def _present(folder: Path) -> Sizes:
    """Return the size of every file, by its name in the folder."""
    files = (path for path in _walk(folder) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _matters(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in MATTERS)


def _dangling(folder: Path) -> Faults:
    gone = [path for path in _walk(folder) if path.is_symlink() and not path.exists()]
    return [f"{p.relative_to(folder)}: links to {os.readlink(p)!r}, which is missing" for p in gone]


def _interrupted(folder: Path, root: Path | None, listed: Listed) -> Faults:
    """Find the beginnings of files whose download stopped."""
    place = root / "blobs" if root else folder / ".cache" / "huggingface" / "download"
    expected = {entry.get("lfs_sha256"): entry.get("size") for entry in listed.values()}
    faults = []
    for path in sorted(place.rglob("*.incomplete")):
        blob = path.name.split(".")[0]
        # A later download may have brought the whole file under its own name.
        if root is None or not (place / blob).is_file():
            whole = f" of {expected[blob]}" if expected.get(blob) else ""
            came = path.stat().st_size
            faults.append(f"{path.name}: an interrupted download, {came}{whole} bytes came")
    return faults


def _missing(folder: Path, present: Sizes, readable: tuple[str, ...]) -> Faults:
    faults = [f"{name}: missing" for name in REQUIRED if name not in present]
    if not any(name in present for name in TOKENIZERS):
        faults.append(f"{' or '.join(TOKENIZERS)}: missing")
    for name in (name for name in readable if name in present):
        try:
            read_object(folder / name)
        except (OSError, ValueError) as error:
            faults.append(f"{name}: cannot be read, {present[name]} bytes: {error}")
    return faults


def _broken_weights(folder: Path, present: Sizes) -> Faults:
    try:
        index = read_object(folder / INDEX) if INDEX in present else {}
        promised = dict(index.get("weight_map", {}))
        total = index.get("metadata", {}).get("total_size")
        shards = sorted(set(promised.values()))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        return [f"{INDEX}: cannot be read: {error}"]
    loaded = _loaded(present)
    if not (shards or loaded):
        return [f"{WEIGHTS}: missing, there are no weights"]
    faults = _unlike_loaded(shards, loaded) if promised else _incomplete(loaded)
    broken, tensors = _broken_shards(folder, shards or loaded, present)
    if faults := [*faults, *broken]:
        return faults
    return [*_twice(tensors), *(_unlike_index(promised, total, tensors) if promised else [])]


def _loaded(present: Sizes) -> list[str]:
    """Return the files that `mlx_lm.load` takes weights from: it asks no index."""
    return sorted(name for name in fnmatch.filter(present, WEIGHTS) if "/" not in name)


def _unlike_loaded(shards: list[str], loaded: list[str]) -> Faults:
    """Compare what an index names, and so what its model is, with what would be loaded."""
    strays = [name for name in loaded if name not in shards]
    passed_over = [name for name in shards if "/" in name or not fnmatch.fnmatch(name, WEIGHTS)]
    return [
        *(f"{n}: {INDEX} does not name it, but it would be loaded: move it away" for n in strays),
        *(f"{n}: {INDEX} names it, but only {WEIGHTS} is loaded" for n in passed_over),
    ]


def _incomplete(loaded: list[str]) -> Faults:
    """Find shards that are missing by the names of the others, where no index says."""
    wanted = {
        f"{match[1]}-{number:05}-of-{match[2]}.safetensors"
        for match in filter(None, map(SHARD.fullmatch, loaded))
        for number in range(1, int(match[2]) + 1)
    }
    return [f"{n}: missing, {loaded[0]} is one of several" for n in sorted(wanted - {*loaded})]


def _broken_shards(folder: Path, shards: list[str], present: Sizes) -> tuple[Faults, Shards]:
    faults: Faults = []
    tensors: Shards = {}
    for name in shards:
        if name not in present:
            faults.append(f"{name}: missing, though {INDEX} names it")
            continue
        try:
            tensors[name] = _tensors(folder / name, present[name])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            faults.append(f"{name}: broken weights: {error}")
    return faults, tensors


def _twice(tensors: Shards) -> Faults:
    """Find tensors that several files hold: which one is loaded would be chance."""
    homes: dict[str, list[str]] = {}
    for shard, sizes in tensors.items():
        for name in sizes:
            homes.setdefault(name, []).append(shard)
    twice = sorted(name for name, shards in homes.items() if len(shards) > 1)
    why = f"{_more(twice)}; which of them is loaded is chance"
    return [f"{' and '.join(homes[name])}: all hold {name!r}{why}" for name in twice[:1]]


def _unlike_index(promised: dict[str, str], total: Any, tensors: Shards) -> Faults:
    faults = []
    if absent := sorted(name for name, shard in promised.items() if name not in tensors[shard]):
        faults.append(
            f"{INDEX}: {len(absent)} of {len(promised)} tensors are not in the shard it names, "
            f"the first is {absent[0]!r}"
        )
    for shard, sizes in tensors.items():
        if unnamed := sorted(name for name in sizes if name not in promised):
            faults.append(f"{shard}: holds {unnamed[0]!r}{_more(unnamed)}, not in {INDEX}")
    held = sum(size for sizes in tensors.values() for size in sizes.values())
    if total not in (None, held):
        faults.append(f"{INDEX}: total_size is {total!r}, the shards hold {held} bytes of tensors")
    return faults


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def headers(folder: Path) -> dict[Path, tuple[dict[str, Any], int]]:
    """Return what each file of a sound folder's weights says of them, and where data begins."""
    paths = (folder / name for name in _loaded(_present(folder)))
    return {path: _header(path, path.stat().st_size) for path in paths}


def _tensors(path: Path, size: int) -> Sizes:
    """Return the bytes of each tensor; raise ValueError if the file does not end with the last."""
    tensors, start = _header(path, size)
    offsets = {name: entry["data_offsets"] for name, entry in tensors.items()}
    end = start + max((last for _, last in offsets.values()), default=0)
    if end != size:
        raise ValueError(f"has {size} bytes, its header promises {end} ({100 * size / end:.1f} %)")
    return {name: last - first for name, (first, last) in offsets.items()}


def _header(path: Path, size: int) -> tuple[dict[str, Any], int]:
    """Return what a file of weights says of each tensor, and where their bytes begin."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 0 < length <= LONGEST_HEADER_BYTES:
            raise ValueError(f"no safetensors header in its {size} bytes")
        if 8 + length > size:
            raise ValueError(f"ends inside its header, after {size} of {8 + length} bytes")
        header = json.loads(stream.read(length))
    return {name: entry for name, entry in header.items() if name != "__metadata__"}, 8 + length


def _unlike_hub(folder: Path, present: Sizes, listed: Listed) -> Faults:
    faults = []
    for name, entry in sorted(listed.items()):
        size = entry.get("size")
        if name in present and size not in (None, present[name]):
            faults.append(f"{name}: has {present[name]} bytes, on the hub it has {size}")
        elif name not in present and _matters(name) and not (folder / name).is_symlink():
            faults.append(f"{name}: missing, on the hub it has {size} bytes")
    return faults


def _hub_hashes(folder: Path, present: Sizes, listed: Listed) -> dict[str, str]:
    """Return the hash that the hub gave to each file, from its list or the name of its blob."""
    blobs = {name: (folder / name).resolve().name for name in present}
    entries = {name: listed.get(name, {}) for name in present}
    published = {n: e.get("lfs_sha256") or e.get("blob_id") or blobs[n] for n, e in entries.items()}
    return {name: value for name, value in published.items() if re.fullmatch(HUB_HASH, value)}


def _changed(folder: Path, hashes: dict[str, str]) -> Faults:
    """Hash files as the hub does: sha256 for a large one, git's sha1 for a small one."""
    faults = []
    for name, published in hashes.items():
        git = hashlib.sha1(b"blob %d\0" % (folder / name).stat().st_size)
        held = _hash(folder / name, hashlib.sha256() if len(published) == 64 else git)
        if held != published:
            faults.append(f"{name}: its bytes hash to {held}, on the hub to {published}")
    return faults


def _hash(path: Path, hasher: Any) -> str:
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            hasher.update(block)
    return str(hasher.hexdigest())


def read_object(path: Path) -> dict[str, Any]:
    """Return a JSON object; a ValueError says why a file is none."""
    try:
        if isinstance(value := json.loads(path.read_text(encoding="utf-8")), dict):
            return value
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    raise ValueError("a JSON object is needed")


if __name__ == "__main__":
    faults, facts = check(Path(sys.argv[1]), deep="--deep" in sys.argv[2:])
    print(json.dumps({"faults": faults, "facts": facts}))
    sys.exit(bool(faults))
