"""Which rows train, validate and test: explicit lists of ids, made once by a stated rule."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from thunder.ground import digest, draws, files, json_lines, schema, wording
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.artifacts import SPLIT, SPLITS
from thunder.lanes.asr.data import groups, pairs
from thunder.language import spelling

if TYPE_CHECKING:
    from datasets import Dataset

MOST_SHOWN = 5


def make(rows: "Dataset", split: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the document of a split: its rule, its ids by part, and the digests of all that.

    `random`: ids in order, shuffled, cut at int(train·n) and int((train + valid)·n), the one rule
    that gives the published 232,476 / 29,060 / 29,060 of 290,596 rows (docs/asr.md, The split).
    The shuffle is of `Random.random()` alone, which Python promises to keep; `Random.shuffle` may
    change between versions. The published split itself cannot be had: the order of its file is
    not known.

    `grouped`: rows that share a text, or a value of a column, stay together.

    `given`: split.json of the data folder; rows that it does not name are left out, and counted.

    Args:
        rows: as `pairs.load` returns them; with `by=split["by"]`, when it names a column.
        split: the section `split` of a config.
        folder: the data folder.
    """
    ids = list(rows["feat_id"])
    _check_rule(split)
    count: int | None = None
    given: str | None = None
    if split["rule"] == "given":
        parts, given = _given(folder / SPLIT, ids)
    elif split["rule"] == "grouped":
        labels = groups.of(rows, split["by"])
        count = len(set(labels))
        parts = _by_group(ids, labels, split)
    else:
        parts = by_row(ids, split)
    made_by = {key: split[key] for key in ("rule", "by", "seed", "train", "valid")}
    left = len(ids) - sum(map(len, parts.values()))
    more = {"groups": count, "given": given, "left_out": left}
    return _document(parts, {**made_by, **more}, pairs.snapshot(rows))


def load(path: Path) -> dict[str, Any]:
    """Read a document of `make`, and refuse one that is broken or was changed."""
    document = dict(schema.read("split", path))
    check(document)
    return document


def check(document: Mapping[str, Any], ids: Collection[str] | None = None) -> None:
    """Refuse a split with an empty part, an id in two parts, a digest that does not fit.

    Args:
        ids: those of the rows; each must be in one part, but for as many as a given split left out.
    """
    parts = document["ids"]
    _check_parts(parts, "split")
    changed = [s for s in SPLITS if document["sha256"][s] != ids_digest(parts[s])]
    changed += ["the whole"] if document["digest"] != _digest(document) else []
    if changed:
        raise ThunderError(
            f"split: changed since it was made: the sha256 of {', '.join(changed)} does not fit; "
            "make it anew",
            "data",
        )
    if ids is not None:
        _check_known(parts, ids, "split")
        left = sorted(set(ids) - {name for part in SPLITS for name in parts[part]})
        if len(left) != document["left_out"]:
            raise ThunderError(
                f"split: {len(left)} rows are in no part, {document['left_out']} were left out "
                f"when it was made: {wording.some(list(map(repr, left)), MOST_SHOWN)}",
                "data",
            )


def by_row(ids: Sequence[str], split: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the ids of each part by the rule `random`; a part may be empty."""
    order = sorted(ids)
    _shuffle(order, draws.stream("split", split["seed"]))
    first, second = cuts(len(order), split)
    return {"train": order[:first], "valid": order[first:second], "test": order[second:]}


def cuts(count: int, split: Mapping[str, Any]) -> tuple[int, int]:
    """Return where valid and test begin; in fractions, since 0.7 + 0.1 is not 0.8 in floats."""
    train, valid = Fraction(str(split["train"])), Fraction(str(split["valid"]))
    return int(train * count), int((train + valid) * count)


def ids_digest(ids: Iterable[str]) -> str:
    """Return the sha256 of ids, sorted, one a line."""
    return hashlib.sha256("".join(f"{name}\n" for name in sorted(ids)).encode("utf-8")).hexdigest()


def _check_rule(split: Mapping[str, Any]) -> None:
    rule, by = split["rule"], split["by"]
    if rule == "grouped" and not by:
        raise ThunderError("split.by: a grouped split needs it: text, or the name of a column")
    if rule != "grouped" and by:
        raise ThunderError(f"split.by: {by!r} is for split.rule=grouped, the rule is {rule!r}")
    if Fraction(str(split["train"])) + Fraction(str(split["valid"])) >= 1:
        raise ThunderError(
            f"split: train {split['train']} and valid {split['valid']} leave nothing for test"
        )


def _shuffle(items: list[str], rng: Random) -> None:
    """Put items into a random order (Fisher and Yates)."""
    for last in range(len(items) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        items[last], items[other] = items[other], items[last]


def _by_group(
    ids: Sequence[str], labels: Sequence[int], split: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Draw a part for every group, large ones first, as likely as there is room in the part.

    A group that fits nowhere goes where most room is, so shares are met as well as groups allow.
    """
    members: dict[int, list[str]] = {}
    for name, label in sorted(zip(ids, labels, strict=True)):
        members.setdefault(label, []).append(name)
    first, second = cuts(len(ids), split)
    room = {"train": first, "valid": second - first, "test": len(ids) - second}
    parts: dict[str, list[str]] = {name: [] for name in SPLITS}
    rng = draws.stream("split", "grouped", split["seed"])
    for group in sorted(members.values(), key=lambda group: (-len(group), group[0])):
        fits = {name: float(left) for name, left in room.items() if left >= len(group)}
        part = draws.pick_weighted(rng, fits) if fits else max(room, key=lambda name: room[name])
        parts[part] += group
        room[part] -= len(group)
    return parts


def _given(path: Path, ids: Sequence[str]) -> tuple[dict[str, list[str]], str]:
    """Read three lists of ids that a person made, or a whole document of ours."""
    data = json_lines.read(path)  # once: what is hashed is what is read
    document = _parsed(path, data)
    if "digest" in document:
        schema.check("split", document, str(path), cause="data")
        check(document)
    lists = document.get("ids", document)
    names = lists if isinstance(lists, dict) else {}
    right = all(_is_list_of_text(names.get(name)) for name in SPLITS)
    if not right or set(names) != set(SPLITS):
        raise ThunderError(
            f'{path}: not a split; {{"train": [ids], "valid": [ids], "test": [ids]}} is one, '
            "and so is split.json of a run",
            "data",
        )
    _check_parts(names, str(path))
    _check_known(names, ids, str(path))
    return {name: list(names[name]) for name in SPLITS}, digest.of_bytes(data)


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    try:
        document = files.parse_json(data.decode("utf-8-sig"))
    except ValueError as error:
        raise ThunderError(f"{path}: not JSON: {error}", "data") from error
    if not isinstance(document, dict):
        raise ThunderError(f"{path}: not a split; a JSON object is needed", "data")
    return document


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _check_parts(parts: Mapping[str, Sequence[str]], place: str) -> None:
    counts = ", ".join(f"{len(parts[name])} {name}" for name in SPLITS)
    if not all(parts[name] for name in SPLITS):
        raise ThunderError(f"{place}: a part is empty: {counts}; more rows are needed", "data")
    faults: list[str] = []
    seen: dict[str, str] = {}
    for part in SPLITS:
        for name in parts[part]:
            if name in seen:
                where = f"twice in {part}" if seen[name] == part else f"in {seen[name]} and {part}"
                faults.append(f"{name!r} {where}")
            seen.setdefault(name, part)
    if faults:
        shown = wording.some(faults, MOST_SHOWN)
        raise ThunderError(f"{place}: ids overlap: {len(faults)}: {shown}", "data")


def _check_known(parts: Mapping[str, Sequence[str]], ids: Collection[str], place: str) -> None:
    known, named = set(ids), {name for part in SPLITS for name in parts[part]}
    if unknown := sorted(named - known):
        raise ThunderError(
            f"{place}: {len(unknown)} ids that no row has: "
            f"{wording.some(list(map(repr, unknown)), MOST_SHOWN)}; "
            "data.take leaves rows out, or the rows are others now",
            "data",
        )


def _document(
    parts: Mapping[str, Iterable[str]], made_by: Mapping[str, Any], snapshot: str
) -> dict[str, Any]:
    ids = {name: sorted(parts[name]) for name in SPLITS}
    document = {
        **made_by,
        "snapshot": snapshot,
        "normaliser_version": spelling.NORMALISER_VERSION,
        "rows": {name: len(ids[name]) for name in SPLITS},
        "ids": ids,
        "sha256": {name: ids_digest(ids[name]) for name in SPLITS},
    }
    document["digest"] = _digest(document)
    check(document)
    schema.check("split", document, SPLIT, cause="crash")
    return document


def _digest(document: Mapping[str, Any]) -> str:
    """Return the digest of a document; its lists count through their own."""
    return digest.of_value({k: v for k, v in document.items() if k not in ("ids", "digest")})
