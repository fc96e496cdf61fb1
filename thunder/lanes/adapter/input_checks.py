"""Whether data set and model are there, whole, and the job's: on this machine and on a host."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from thunder.corpora import corpus
from thunder.ground import digest
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.adapter.model import model_folder
from thunder.training.preflight import Checks, Skip, megabytes

SPLITS = ("train", "valid", "test")

# Checks that others need, or that the report has a place for.
DATA_PRESENT = "data set present"
DATA_ROWS = "data set rows and digests"
MODEL_COMPLETE = "model complete"
MODEL_REHASHED = "model bytes re-hashed"

Found = dict[str, Any]


def data(
    checks: Checks, place: Path, source: Mapping[str, Any], found: Found
) -> dict[str, list[dict[str, Any]]]:
    """Check a data set; returns its splits.

    Args:
        found: gets its digest as `data`, and the rows of each split as `rows`.
    """
    splits: dict[str, list[dict[str, Any]]] = {}
    with checks.check(DATA_PRESENT, "data") as measured:
        corpus.check_is_complete(place)
        size = sum((place / name).stat().st_size for name in corpus.NAMES)
        measured(f"{place} ({megabytes(size)})")
    with checks.check(DATA_ROWS, "data") as measured:
        checks.needs(DATA_PRESENT)
        splits.update(corpus.load(place))
        content = corpus.digest(place)
        _same_digest(source, content, place)
        found["data"] = content
        found["rows"] = {split: len(splits[split]) for split in SPLITS}
        counts = ", ".join(f"{len(splits[split])} {split}" for split in SPLITS)
        measured(f"{counts}; sha256 {content[:12]}")
    return splits


def model(
    checks: Checks,
    place: Path,
    source: Mapping[str, Any],
    found: Found,
    *,
    deep: bool,
    content: Callable[[], str] | None = None,
) -> dict[str, Any]:
    """Check a model's folder; returns what was looked at.

    Args:
        found: gets its digest as `model`, and its size as `model_bytes`.
        deep: hash what the hub named by its content.
        content: returns the digest of the folder's content, where it may be another one than here.
    """
    facts: dict[str, Any] = {}
    with checks.check(MODEL_COMPLETE, "model") as measured:
        faults, facts = model_folder.check(place, deep=deep)
        found["model_bytes"] = facts.get("bytes", 0)
        size = f"{facts.get('files', 0)} files, {megabytes(facts.get('bytes', 0))}"
        measured(size if faults else f"{place} ({size})")
        if faults:
            raise Faults(f"{place}:", faults, "model")
        if content is not None and "digest" in source:
            _same_digest(source, content(), place, "model")
        found["model"] = model_digest(source, place)
    return facts


def model_lacks(folder: Path) -> list[str]:
    """Return what is wrong with a model's folder, as far as it shows without hashing it."""
    return model_folder.check(folder)[0]


def rehashed(checks: Checks, facts: Mapping[str, Any], *, deep: bool) -> None:
    """Say whether the model's bytes were hashed, and what they were compared with."""
    with checks.check(MODEL_REHASHED, "model") as measured:
        if not deep:
            raise Skip("deep=true re-hashes every byte of a hub snapshot")
        if not facts.get("deep"):
            raise Skip("a plain folder has no digests to compare with")
        checks.needs(MODEL_COMPLETE)
        measured("every hash is the hub's")


def model_digest(source: Mapping[str, Any], place: Path) -> str:
    """Return the digest of the model's content, or what names it without reading gigabytes."""
    if "digest" in source:
        return str(source["digest"])
    if "hub" in source:
        return digest.of_value({"hub": source["hub"], "commit": source["commit"]})
    return model_folder.digest(place)


def _same_digest(source: Mapping[str, Any], content: str, place: Path, cause: Any = "data") -> None:
    if "digest" in source and source["digest"] != content:
        raise ThunderError(
            f"{place}: another content than when the job was named: "
            f"sha256 {content[:12]}, the job has {source['digest'][:12]}",
            cause,
        )
