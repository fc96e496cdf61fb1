"""The error page of an asr run: which rows went wrong, and how, edit by edit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thunder.ground import files, folders, run_files, wording
from thunder.ground.errors import ThunderError
from thunder.jobs import inputs
from thunder.lanes.asr import scripts
from thunder.lanes.asr.artifacts import RESULTS
from thunder.lanes.asr.labels import LABELS
from thunder.lanes.asr.results.pages import aligned, choice, histogram, sound, timed
from thunder.lanes.asr.results.pages.scored import (
    PREDICTIONS,
    REFERENCES,
    Scored,
    read,
    rows_of,
)
from thunder.language import spelling
from thunder.results.pages import template
from thunder.runs import proof, reading, store
from thunder.scoring import VARIANTS, edits, intervals, summary
from thunder.scoring.score import MAIN, grouped

_HERE = Path(__file__).resolve().parent
_MOST_CONFUSIONS = 40
_VARIANTS = {
    "raw": "texts as they are",
    "norm": "normalised texts",
    "toneless": "normalised texts without tones",
}
_KINDS = (
    ("substitute", "substitution", "≠", "another letter"),
    ("insert", "insertion", "+", "a letter too many"),
    ("delete", "deletion", "−", "a letter left out"),
)
_SAME = 1e-9


def write(run_folder: Path, *, rows: int = 60, variant: str = MAIN, has_sound: bool = True) -> Path:
    """Write the page of a run into `pages/` of its outputs, and return its path.

    It lies outside the run folder, whose manifest lists every file in it.
    """
    document = build(run_folder, rows=rows, variant=variant, has_sound=has_sound)
    name = f"errors-{run_folder.name}{'' if variant == 'norm' else f'-{variant}'}.html"
    path = run_folder.parent.parent / folders.PAGES / name
    files.write_text(path, render(document))
    return path


def render(document: Mapping[str, Any]) -> str:
    """Return the page as one HTML file that needs nothing else."""
    shown = document["shown"]
    values = {
        "script_name": shown["title"],
        "lang": shown["language"] or "und",
        "dir": shown["direction"],
        "font": shown["font"],
        "variant_text": _VARIANTS[document["variant"]],
        "titles": choice.TITLES,
        "bars": histogram.bars(document["histogram"], document["cer"]["median"]),
        "most_sound": sound.MOST_BYTES,
    }
    return template.render(_HERE, "errors", {**document, **values})


def build(
    run_folder: Path, *, rows: int = 60, variant: str = MAIN, has_sound: bool = True
) -> dict[str, Any]:
    """Return what the page shows, as plain data.

    Args:
        rows: how many rows of each selection of thunder.lanes.asr.results.pages.choice.
        variant: the form of the texts that is scored and shown, one of scoring.VARIANTS.
        has_sound: whether recordings are put on it, where they are found.

    Raises:
        ThunderError: the run is of another kind, not done, or not what its manifest says.
    """
    if rows < 1:
        raise ThunderError(f"{rows} rows: at least 1 of each selection is needed")
    if variant not in VARIANTS:
        raise ThunderError(f"no variant {variant!r}; variants: {', '.join(VARIANTS)}")
    run = store.Run(run_folder)
    record = _record(run)
    proof.digests(run, (run_files.CONFIG, RESULTS, PREDICTIONS, REFERENCES))
    results = proof.document(run.folder / RESULTS, "asr_results")
    scored = read(run, variant)
    cer = _cer(scored)
    if variant == MAIN:
        _check_agreement(run, results, cer)
    chosen = choice.choose(scored, rows, run.id)
    config = {**run.document(), "runtime": _runtime(run, record)}
    reasons = _reasons(scored, chosen)
    whole = rows_of(run, {scored.dump.ids[index] for index in reasons})
    shown = [whole[scored.dump.ids[index]] for index in reasons]
    sounds = sound.Sounds(reason="they were left out as asked")
    if has_sound:
        sounds = sound.of_rows(config, shown, timed.frame_seconds(results))
    return {
        "run": run.folder.name,
        "script": scored.dump.script,
        "shown": scripts.shown(config),
        "mode": results["mode"],
        "seed": results["seed"],
        "stand_in": record["stand_in"],
        "stand_ins": inputs.stand_ins(config),
        "variant": variant,
        "cer": cer,
        "partitions": _partitions(scored),
        "histogram": histogram.bins(scored.rates),
        **_edits(scored),
        "selections": {name: len(indices) for name, indices in chosen.items()},
        "rows": [
            {**_row(scored, index, row), "kinds": reasons[index], **sounds.of(row["feat_id"])}
            for index, row in zip(reasons, shown, strict=True)
        ],
        "no_sound": sounds.reason,
        "no_room": sounds.no_room,
    }


def _runtime(run: store.Run, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a run was made last, with its outputs where they lie now."""
    outputs = str(run.folder.parent.parent)
    return {**record["attempts"][-1]["runtime"], "outputs": outputs}


def _record(run: store.Run) -> dict[str, Any]:
    """Return the record of a run that has what the page shows."""
    record = run.record()
    name = run.folder.name
    if record["kind"] != "asr":
        raise ThunderError(f"run {name} is of kind {record['kind']}; error pages are of kind asr")
    so_far = reading.of(run, None)
    if not so_far.is_reached:
        raise ThunderError(f"run {name} is {so_far.status}; its error page needs it done")
    return record


def _cer(scored: Scored) -> dict[str, Any]:
    rates = summary(scored.counts)
    units = grouped(scored.counts, scored.dump.clusters)
    low, high = intervals.bootstrap(units)
    return {
        "micro": rates["cer_micro"],
        "low": low,
        "high": high,
        "units": len(units.edits),
        "few": len(units.edits) < intervals.FEWEST,
        "macro": rates["cer_macro"],
        "median": rates["cer_median"],
        "rows": rates["rows"],
        "edits": rates["edits"],
        "ref_chars": rates["ref_chars"],
        "exact": rates["exact"],
    }


def _check_agreement(run: store.Run, results: Mapping[str, Any], cer: Mapping[str, Any]) -> None:
    stated, counted = results["test_cer"], cer["micro"]
    if stated is None or abs(stated - counted) > _SAME:
        raise ThunderError(
            f"{run.folder}: test_cer of {RESULTS} is {stated}, its dumps give {counted} "
            f"(normaliser {results['normaliser_version']} then, {spelling.SCORED_VERSION} now)",
            "verification",
        )


def _partitions(scored: Scored) -> list[dict[str, Any]]:
    labels = np.array(scored.dump.partitions)
    total = max(int(scored.counts.edits.sum()), 1)
    rows = []
    for name in LABELS:
        is_here = labels == name
        wrong, chars = (int(n[is_here].sum()) for n in (scored.counts.edits, scored.counts.chars))
        rows.append(
            {
                "name": name,
                "rows": int(is_here.sum()),
                "share": float(is_here.mean()),
                "cer_micro": wrong / chars if chars else None,
                "share_of_edits": wrong / total,
            }
        )
    return [row for row in rows if row["rows"]]


def _edits(scored: Scored) -> dict[str, Any]:
    """Count kinds of edits and confusions of letters over all rows, not those shown alone."""
    kinds: Counter[str] = Counter()
    confusions: Counter[tuple[str, str]] = Counter()
    for index in np.flatnonzero(scored.counts.edits).tolist():
        alignment = scored.alignment(index)
        kinds.update(edits.totals([alignment]))
        confusions.update((one, other) for op, one, other in alignment if op == "substitute")
    total = max(sum(kinds[name] for name, *_ in _KINDS), 1)
    most = sorted(confusions.items(), key=lambda item: (-item[1], item[0]))[:_MOST_CONFUSIONS]
    return {
        "kinds": [
            {"name": name, "mark": mark, "title": title, "count": kinds[name],
             "share": kinds[name] / total}
            for name, _, mark, title in _KINDS
        ],
        "confusions": [
            {"reference": one, "hypothesis": other, "count": count, "share": count / total}
            for (one, other), count in most
        ],
    }  # fmt: skip


def _reasons(scored: Scored, chosen: Mapping[str, Sequence[int]]) -> dict[int, list[str]]:
    """Return what each chosen row was chosen for, those with most edits first."""
    reasons: dict[int, list[str]] = {}
    for name, indices in chosen.items():
        for index in indices:
            reasons.setdefault(index, []).append(name)
    order = sorted(reasons, key=lambda index: (-int(scored.counts.edits[index]), index))
    return {index: reasons[index] for index in order}


def _row(scored: Scored, index: int, whole: Mapping[str, Any]) -> dict[str, Any]:
    alignment = scored.alignment(index)
    totals = edits.totals([alignment])
    counted = [wording.count(totals[name], noun) for name, noun, *_ in _KINDS if totals[name]]
    return {
        "feat_id": whole["feat_id"],
        "reference": whole["reference_text"],
        "hypothesis": whole["asr_text"],
        "partition": whole["partition"],
        "partition_fine": whole["partition_fine"],
        "duration_s": whole["duration_s"],
        "confidence": whole["mean_maxp"],
        "edits": int(scored.counts.edits[index]),
        "chars": int(scored.counts.chars[index]),
        "cer": float(scored.rates[index]),
        "said": f"alignment: {', '.join(counted) or 'no edit'}",
        "words": aligned.words(alignment),
    }
