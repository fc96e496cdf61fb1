"""The error page of an asr run: which rows went wrong, and how, edit by edit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.ground import files, folders, run_files, wording
from thunder.ground.errors import ThunderError
from thunder.jobs import inputs
from thunder.lanes.asr import scripts
from thunder.lanes.asr.artifacts import RESULTS
from thunder.lanes.asr.results.pages import aligned, choice, counted, histogram, sound, timed
from thunder.lanes.asr.results.pages.scored import (
    PREDICTIONS,
    REFERENCES,
    Scored,
    read,
    rows_of,
)
from thunder.language import spelling
from thunder.results.pages import template
from thunder.runs import proof, reading
from thunder.runs.run import Run
from thunder.scoring import VARIANTS, edits
from thunder.scoring.score import MAIN

_HERE = Path(__file__).resolve().parent
_VARIANTS = {
    "raw": "texts as they are",
    "norm": "normalised texts",
    "toneless": "normalised texts without tones",
}
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
    run = Run(run_folder)
    record = _record(run)
    proof.digests(run, (run_files.CONFIG, RESULTS, PREDICTIONS, REFERENCES))
    results = proof.document(run.folder / RESULTS, "asr_results")
    scored = read(run, variant)
    _check_variant(scored)
    cer = counted.cer(scored)
    if variant == MAIN:
        _check_agreement(run, results, cer)
    chosen = choice.choose(scored, rows, run.id)
    config = {**run.document(), "runtime": _runtime(run, record)}
    return {
        **_head(run, config, record["stand_in"]),
        "variant": variant,
        "cer": cer,
        "partitions": counted.partitions(scored),
        "histogram": histogram.bins(scored.rates),
        **counted.kinds(scored),
        "selections": {name: len(indices) for name, indices in chosen.items()},
        **_rows(run, scored, chosen, config if has_sound else None, timed.frame_seconds(results)),
    }


def _head(run: Run, config: Mapping[str, Any], is_stand_in: bool) -> dict[str, Any]:
    return {
        "run": run.folder.name,
        **{key: config[key] for key in ("script", "mode", "seed")},
        "shown": scripts.shown(config),
        "stand_in": is_stand_in,
        "stand_ins": inputs.stand_ins(config),
    }


def _runtime(run: Run, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a run was made last, with its outputs where they lie now."""
    outputs = str(run.folder.parent.parent)
    return {**record["attempts"][-1]["runtime"], "outputs": outputs}


def _record(run: Run) -> dict[str, Any]:
    """Return the record of a run that has what the page shows."""
    record = run.record()
    name = run.folder.name
    if record["kind"] != "asr":
        raise ThunderError(f"run {name} is of kind {record['kind']}; error pages are of kind asr")
    so_far = reading.of(run, None)
    if not so_far.is_reached:
        raise ThunderError(f"run {name} is {so_far.status}; its error page needs it done")
    return record


def _check_variant(scored: Scored) -> None:
    if scored.variant not in spelling.variants(scored.dump.form):
        raise ThunderError(
            f"no variant {scored.variant!r} of script {scored.dump.script}, whose accents are "
            "letters"
        )


def _check_agreement(run: Run, results: Mapping[str, Any], cer: Mapping[str, Any]) -> None:
    stated, counted = results["test_cer"], cer["micro"]
    if stated is None or abs(stated - counted) > _SAME:
        raise ThunderError(
            f"{run.folder}: test_cer of {RESULTS} is {stated}, its dumps give {counted} "
            f"(normaliser {results['normaliser_version']} then, {spelling.SCORED_VERSION} now)",
            "verification",
        )


def _rows(
    run: Run,
    scored: Scored,
    chosen: Mapping[str, Sequence[int]],
    config: Mapping[str, Any] | None,
    frame_seconds: float,
) -> dict[str, Any]:
    """Return the chosen rows, and which of them have no recording.

    Args:
        config: of the run, for its recordings; None: they are left out.
    """
    reasons = _reasons(scored, chosen)
    whole = rows_of(run, {scored.dump.ids[index] for index in reasons})
    shown = [whole[scored.dump.ids[index]] for index in reasons]
    sounds = sound.Sounds(reason="they were left out as asked")
    if config is not None:
        sounds = sound.of_rows(config, shown, frame_seconds)
    rows = [
        {**_row(scored, index, row), "kinds": reasons[index], **sounds.of(row["feat_id"])}
        for index, row in zip(reasons, shown, strict=True)
    ]
    return {"rows": rows, "no_sound": sounds.reason, "no_room": sounds.no_room}


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
    parts = [wording.count(totals[name], noun) for name, noun, *_ in counted.KINDS if totals[name]]
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
        "said": f"alignment: {', '.join(parts) or 'no edit'}",
        "words": aligned.words(alignment),
    }
