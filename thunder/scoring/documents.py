"""The scores of a dump as one document: the same for a run, its tables and a stranger."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from thunder.ground import wording
from thunder.ground.errors import ThunderError
from thunder.language import bridge, spelling
from thunder.scoring import intervals, score
from thunder.scoring.dumps import LABELS, Dump
from thunder.scoring.intervals import FEW

NO_LABEL = "(none)"  # rows that name no partition or origin, where others do

_TITLES = {
    "all": "all rows",
    "text_disjoint": "rows whose text train does not have",
    "by_partition": "partition",
    "by_origin": "origin",
    "bridged": "as N'Ko by",
}

Variants = Mapping[str, score.Counts]


def of_dump(
    dump: Dump,
    samples: int = intervals.SAMPLES,
    seed: int = intervals.SEED,
    bridge_version: str | None = None,
) -> dict[str, Any]:
    """Return the scores of a dump in its variants, with intervals, as schemas/score.json.

    Args:
        samples: of the bootstrap; 0 leaves the intervals out.
        bridge_version: score a Latin dump as N'Ko too, both sides mapped by this bridge.
    """
    clusters = None if dump.clusters is None else np.array(dump.clusters)
    by_variant = {v: _counts(dump, v) for v in spelling.variants(dump.form)}
    mapped = _bridged(dump, bridge_version)
    disjoint = dump.text_disjoint

    def block(rows: npt.NDArray[Any]) -> dict[str, Any]:
        chosen = {v: score.part(by_variant[v], rows) for v in by_variant}
        return _block(chosen, None if clusters is None else clusters[rows], samples, seed)

    def groups(labels: Sequence[str | None]) -> dict[str, Any] | None:
        return {label: block(rows) for label, rows in _groups(labels).items()} or None

    return {
        "script": dump.script,
        **dump.labels,
        "scored_version": spelling.SCORED_VERSION,
        "bootstrap": _bootstrap(samples, seed, "row" if clusters is None else "cluster"),
        "all": _block(by_variant, clusters, samples, seed),
        "text_disjoint": None if disjoint is None else block(disjoint),
        "by_partition": groups(dump.partitions),
        "by_origin": groups(dump.origins),
        "bridged": mapped
        and {"version": bridge_version, **_block(mapped, clusters, samples, seed)},
    }


def _bootstrap(samples: int, seed: int, unit: str) -> dict[str, Any]:
    return {"samples": samples, "seed": seed, "level": intervals.LEVEL, "unit": unit}


def render(document: Mapping[str, Any]) -> str:
    """Return a document for people: one line per subset and variant, rates in percent."""
    labels = [f"{key} {document[key]}" for key in ("script", *LABELS) if document[key]]
    interval = f"{document['bootstrap']['level']} % interval"
    head = ["rows", "variant", "CER %", interval, "macro", "median", "WER %", "its interval"]
    rows = [row for title, block in _blocks(document) for row in _table_rows(title, block)]
    shown = wording.columns(["of", *head, "exact %", "edits", "chars"], rows)
    foot = "\n".join(_foot(document["bootstrap"], is_marked=FEW in shown))
    return "\n".join([", ".join(labels), "", shown, "", foot]) + "\n"


def _foot(drawn: Mapping[str, Any], *, is_marked: bool) -> Iterator[str]:
    if not drawn["samples"]:
        yield "no intervals: 0 resamples asked for"
        return
    yield f"intervals: {drawn['samples']:,} resamples of {drawn['unit']}s, seed {drawn['seed']}"
    if is_marked:
        yield intervals.few_note(f"{drawn['unit']}s")


def _counts(dump: Dump, variant: str) -> score.Counts:
    return score.counts(dump.references, dump.hypotheses, dump.form, variant)


def _bridged(dump: Dump, version: str | None) -> Variants | None:
    if version is None:
        return None
    if dump.script != "latin":
        raise ThunderError(f"a bridge maps Latin text; this dump is of script {dump.script!r}")
    mapped = [bridge.to_nko(reference, version) for reference in dump.references]
    return {v: score.bridged(mapped, dump.hypotheses, version, v) for v in score.VARIANTS}


def _block(
    counts: Variants, clusters: score.Labels | None, samples: int, seed: int
) -> dict[str, Any]:
    """Return the summary of each variant with its intervals, of characters and of words."""
    units = [score.grouped(counted, clusters) for counted in counts.values()]
    drawn: Sequence[tuple[float, float] | None] = [None] * 2 * len(units)
    if samples and len(units[0].edits):
        drawn = intervals.bootstrap_all([*units, *map(score.of_words, units)], samples, seed)
    bounds = [interval and list(interval) for interval in drawn]
    return {
        variant: {
            **score.summary(counted),
            "units": len(units[0].edits),
            "cer_ci95": of_chars,
            "wer_ci95": of_words,
        }
        for (variant, counted), of_chars, of_words in zip(
            counts.items(), bounds[: len(units)], bounds[len(units) :], strict=True
        )
    }


def _groups(labels: Sequence[str | None]) -> dict[str, npt.NDArray[np.int64]]:
    """Return the rows of each label, sorted by label; nothing when no row has one."""
    by_label: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        by_label.setdefault(NO_LABEL if label is None else label, []).append(row)
    if set(by_label) == {NO_LABEL}:
        return {}
    return {label: np.array(by_label[label], dtype=np.int64) for label in sorted(by_label)}


def _blocks(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    blocks = [(_TITLES["all"], document["all"])]
    if document["text_disjoint"]:
        blocks.append((_TITLES["text_disjoint"], document["text_disjoint"]))
    for key in ("by_partition", "by_origin"):
        groups = document[key] or {}
        blocks += [(f"{_TITLES[key]} {label}", block) for label, block in groups.items()]
    if document["bridged"]:
        blocks.append(
            (f"{_TITLES['bridged']} {document['bridged']['version']}", document["bridged"])
        )
    return blocks


def _table_rows(title: str, block: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            title if not index else "",
            f"{block[variant]['rows']:,}" if not index else "",
            variant,
            _percent(block[variant]["cer_micro"]),
            _bounds(block[variant], "cer_ci95"),
            *(_percent(block[variant][key]) for key in ("cer_macro", "cer_median", "wer_micro")),
            _bounds(block[variant], "wer_ci95"),
            _percent(block[variant]["exact"]),
            f"{block[variant]['edits']:,}",
            f"{block[variant]['ref_chars']:,}",
        ]
        for index, variant in enumerate(v for v in score.VARIANTS if v in block)
    ]


def _bounds(numbers: Mapping[str, Any], key: str) -> str:
    shown = " to ".join(_percent(bound) for bound in numbers[key] or [])
    if not shown:
        return "–"
    return f"{shown} {FEW}" if numbers["units"] < intervals.FEWEST else shown


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.2f}"
