"""Correction corpora made here: noisy text in, clean text out, split without leakage."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from thunder.corpora import perturb, rows
from thunder.corpora.corpus import (
    CREATED_BY,
    MOST_LEFT_OUT,
    SPLITS,
    check_left_out,
    check_target,
)
from thunder.ground import digest, files, json_lines, schema
from thunder.ground.errors import ThunderError
from thunder.ground.input_files import MANIFEST
from thunder.ground.wording import nearest
from thunder.language import sentences, spelling


def build_recipe(source: dict[str, Any], target: Path) -> dict[str, Any]:
    """Build the corpus of a recipe from generated sentences; one that is there already is kept.

    Args:
        source: {"recipe": "sentences", "rows": int, "seed": int, "script": "nko" or "latin"}.
    """
    if source["recipe"] != "sentences":
        raise ThunderError(f"no recipe {source['recipe']!r} for a corpus; there is 'sentences'")
    if (target / MANIFEST).is_file():
        return dict(files.read_json(target / MANIFEST))
    script, seed, count = source["script"], source["seed"], source["rows"]
    generated = sentences.generate(count, seed, script)
    sha256, entries = sentences.vocabulary(script)
    settings = {
        "name": f"sentences-{script}-{count}-{seed}",
        "script": script,
        "seed": seed,
        "inputs": [
            {"path": f"CLDR {sentences.LOCALES[script]}", "sha256": sha256, "rows": entries},
        ],
        "license": "Unicode-3.0",
        "stand_in": True,
    }
    numbered = (rows.Sentence(f"{script}_{i:06d}", text) for i, text in enumerate(generated))
    return build(numbered, target, settings)


def build_from_file(
    path: Path,
    column: str,
    target: Path,
    *,
    script: str,
    seed: int,
    id_column: str | None = None,
    license: str | None = None,
    most_left_out: float = MOST_LEFT_OUT,
) -> dict[str, Any]:
    """Build a corpus from the text column of a JSON Lines file.

    Args:
        id_column: the column that names a row; line numbers do, when there is none.
        license: of the text, as the manifest shall say it.
        most_left_out: the share of the rows that may be left out.
    """
    check_target(target)
    data = json_lines.read(path)
    numbered, faults = json_lines.rows(data)
    _check_columns(path, numbered, column, id_column)
    for number, row in numbered.items():
        if not isinstance(row.get(column), str):
            faults[number] = f"{column!r} must be text, is {_what(row, column)}"
    json_lines.refuse(f"{path}: broken rows: {len(faults)}", json_lines.placed(path.name, faults))
    settings = {
        "name": f"{path.stem}-{column}-{script}-{seed}",
        "script": script,
        "seed": seed,
        "inputs": [{"path": path.name, "sha256": digest.of_bytes(data), "rows": len(numbered)}],
        "license": license,
        "stand_in": False,
    }
    names = {n: row.get(id_column, n) if id_column else n for n, row in numbered.items()}
    named = (rows.Sentence(str(names[n]), row[column]) for n, row in numbered.items())
    return build(named, target, settings, most_left_out)


def build(
    source: Iterable[rows.Sentence],
    target: Path,
    settings: dict[str, Any],
    most_left_out: float = 1.0,
) -> dict[str, Any]:
    """Write a corpus folder and return its manifest; the same sentences give the same bytes.

    A folder that another process built meanwhile is kept.

    Args:
        settings: name, script, seed, inputs, license, stand_in, as the manifest has them.
    """
    splits, dropped = rows.make(source, settings["script"], settings["seed"])
    _check_no_split_is_empty(settings, splits, dropped)
    _check_left_out(splits, dropped, most_left_out)
    with files.fresh_folder(target) as folder:
        for split in SPLITS:
            for row in splits[split]:
                schema.check("corpus_row", row, f"{split}.jsonl", cause="crash")
            files.write_jsonl(folder / f"{split}.jsonl", splits[split])
        manifest = _manifest(splits, dropped, settings)
        manifest["sha256"] = {f"{s}.jsonl": digest.of_file(folder / f"{s}.jsonl") for s in SPLITS}
        schema.check("corpus_manifest", manifest, MANIFEST, cause="crash")
        files.write_json(folder / MANIFEST, manifest)
    return manifest


def _check_columns(
    path: Path, numbered: dict[int, dict[str, Any]], column: str, id_column: str | None
) -> None:
    have = sorted({key for row in numbered.values() for key in row})
    for name in (column, id_column):
        if numbered and name is not None and name not in have:
            columns = ", ".join(map(repr, have))
            raise ThunderError(
                f"{path}: no column {name!r}{nearest(name, have)}; the columns are {columns}",
                "data",
            )


def _what(row: dict[str, Any], column: str) -> str:
    return json_lines.kind(row[column]) if column in row else "missing"


def _check_no_split_is_empty(
    settings: Mapping[str, Any], splits: rows.Splits, dropped: Counter[str]
) -> None:
    counts = {split: len(kept) for split, kept in splits.items()}
    if all(counts.values()):
        return
    lost = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count)
    why = f" ({lost} dropped)" if lost else ""
    advice = (
        f"most text is not in script {settings['script']!r}: name the script it is in"
        if dropped["foreign_script"] > sum(counts.values())
        else "the hash of a sentence chooses its split (80, 10, 10 %): give 100 sentences or more"
    )
    raise ThunderError(
        f"corpus {settings['name']!r}: a split would be empty: "
        f"{', '.join(f'{count} {split}' for split, count in counts.items())}{why}; {advice}",
        "data",
    )


def _check_left_out(splits: rows.Splits, dropped: Counter[str], most: float) -> None:
    why = [f"{number}: {reason}" for reason, number in dropped.items() if number]
    count = dropped.total() + sum(map(len, splits.values()))
    check_left_out(dropped.total(), count, "row", most, why)


def _manifest(
    splits: rows.Splits, dropped: Counter[str], settings: dict[str, Any]
) -> dict[str, Any]:
    every = [row for split in SPLITS for row in splits[split]]
    metas = [row["meta"] for row in every]
    copies = sum(1 for meta in metas if not meta["ops"])
    return {
        **settings,
        "created_by": CREATED_BY,
        "builder": "synthetic",
        "builder_sha256": digest.of_value(builder()),
        "counts": {
            **{split: len(splits[split]) for split in SPLITS},
            "dropped": {reason: dropped[reason] for reason in rows.DROPS},
        },
        "op_histogram": _histogram(op for meta in metas for op in meta["ops"]),
        "partition_histogram": _histogram(meta["partition"] for meta in metas),
        "copy_share": round(copies / len(every), 4),
        "char_stats": {
            "input": _spread(len(rows.noisy_text(row)) for row in every),
            "output": _spread(meta["ref_chars"] for meta in metas),
        },
        "normaliser_version": spelling.NORMALISER_VERSION,
        "split_rule": rows.SPLIT_RULE,
        "leak_checks": rows.leaks(splits, settings["script"]),
    }


def builder_digest(source: Mapping[str, Any]) -> str:
    """Return the digest of what shapes a recipe's corpus besides its settings: rules and words."""
    sha256, _ = sentences.vocabulary(source["script"])
    return digest.of_value({**builder(), "words": sha256})


def builder() -> dict[str, Any]:
    """Return everything that shapes a corpus besides its sentences."""
    return {
        "revisions": {"rows": rows.REVISION, "perturb": perturb.REVISION},
        "normaliser_version": spelling.NORMALISER_VERSION,
        "error_shares": perturb.ERROR_SHARES,
        "rules": perturb.RULES_BY_CLASS,
        "copy_share": perturb.COPY_SHARE,
        "copy_partitions": perturb.COPY_PARTITIONS,
        "chars": rows.CHARS,
        "least_purity": rows.LEAST_PURITY,
        "split_rule": rows.SPLIT_RULE,
        "system": rows.SYSTEM,
    }


def _histogram(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _spread(lengths: Iterable[int]) -> dict[str, int]:
    ordered = sorted(lengths)
    at = {"min": 0.0, "p50": 0.5, "p95": 0.95, "max": 1.0}
    return {name: ordered[int(share * (len(ordered) - 1))] for name, share in at.items()}
