"""A batch of utterances through a model: one row per utterance, with all but its label."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from thunder.backends.torch.machine import Machine
from thunder.lanes.asr import scripts
from thunder.lanes.asr.evaluation import adaptation, beam, decode, repetition, telemetry
from thunder.lanes.asr.evaluation.adaptation import Pass
from thunder.lanes.asr.evaluation.decode import Decoded
from thunder.lanes.asr.model import suta
from thunder.lanes.asr.model.ctc import CTCModel, Output
from thunder.lanes.asr.training import batches, epoch
from thunder.lanes.asr.training.batches import Batch
from thunder.lanes.asr.training.learner import on_device
from thunder.language import spelling
from thunder.scoring.score import counts

if TYPE_CHECKING:
    from thunder.lanes.asr.material import Material

CONFIDENCE_DIGITS = 4


@dataclass(frozen=True)
class Recogniser:
    """A trained model, what it recognises, and where it computes."""

    material: "Material"
    model: CTCModel
    machine: Machine
    run_id: str


def of_split(recogniser: Recogniser, split: str, pass_: Pass) -> Iterator[dict[str, Any]]:
    """Yield the rows of a split as a pass recognises them, those of like length together."""
    material, utterances = recogniser.material, recogniser.material.splits[split]
    size, window = material.config["train"]["batch_size"], epoch.window(material)
    made = (
        batches.collate(material.store, utterances, chosen, window)
        for chosen in batches.evaluation(utterances.frames[: pass_.most], size)
    )
    for batch in batches.ahead(made):
        yield from rows(recogniser, split, pass_, batch)


def rows(recogniser: Recogniser, split: str, pass_: Pass, batch: Batch) -> Iterator[dict[str, Any]]:
    """Yield the rows of a batch, but for their labels.

    Raises:
        ThunderError: posteriors that are not finite numbers, with the cause `training`.
    """
    output = output_of(recogniser, pass_, batch)
    assert output.scalars is not None
    decoded = _decoded(recogniser, output)
    references = [recogniser.material.splits[split].references[row] for row in batch.rows]
    form, blank = recogniser.material.form, recogniser.material.vocabulary.blank
    edits = counts(references, [utterance.text for utterance in decoded], form, spelling.MAIN)
    columns = zip(
        batch.rows.tolist(),
        decoded,
        telemetry.of_posteriors(output.log_probs, output.lengths, blank),
        telemetry.of_scalars(output.scalars, output.lengths),
        output.lengths.tolist(),
        edits.edits.tolist(),
        edits.chars.tolist(),
        strict=True,
    )
    for row, utterance, posteriors, scalars, frames, wrong, chars in columns:
        yield {
            **_who(recogniser, split, pass_, row),
            **_text(utterance, form),
            **_frames(utterance, pass_),
            **posteriors,
            **scalars,
            "n_frames": frames,
            "cer_edits": wrong,
            "reference_chars": chars,
        }


def output_of(recogniser: Recogniser, pass_: Pass, batch: Batch) -> Output:
    """Return what the model of a recogniser makes of a batch in a pass."""
    frames, lengths = on_device(batch, recogniser.machine)
    with torch.no_grad(), recogniser.machine.autocast():
        plain = recogniser.model(frames, lengths, ttt=pass_.ttt, scalars=True)
    if pass_.adapted != adaptation.SUTA:
        return plain
    settings = recogniser.material.config["evaluate"]["suta"]
    blank = recogniser.material.vocabulary.blank
    adapted = suta.adapt_batch(recogniser.model, frames, lengths, settings, blank=blank)
    # The scalars are of the frames before any normalisation, which is all that SUTA moves.
    return replace(adapted, scalars=plain.scalars)


def _decoded(recogniser: Recogniser, output: Output) -> list[Decoded]:
    material = recogniser.material
    width, vocabulary = material.config["evaluate"]["beam"], material.vocabulary
    if not width:
        return decode.best_paths(output.log_probs, output.lengths, vocabulary)
    log_probs, lengths = output.log_probs.cpu().numpy(), output.lengths.cpu().numpy()
    return beam.search(log_probs, lengths, vocabulary, width)


def _who(recogniser: Recogniser, split: str, pass_: Pass, row: int) -> dict[str, Any]:
    config, utterances = recogniser.material.config, recogniser.material.splits[split]
    return {
        "feat_id": utterances.ids[row],
        "audio_id": utterances.ids[row],  # one utterance, one recording
        "split": split,
        **scripts.said(config),
        "mode": config["mode"],
        "reference_text": utterances.references[row],
        "duration_s": round(float(utterances.seconds[row]), telemetry.DIGITS),
        "model_run_id": recogniser.run_id,
        "adapted": pass_.adapted,
        "bridge_version": recogniser.material.bridge_version,
    }


def _frames(decoded: Decoded, pass_: Pass) -> dict[str, Any]:
    """Return the frames of each character; other passes than the main one go without, for size."""
    return {} if pass_.suffix else {"char_frames": [list(span) for span in decoded.spans]}


def _text(decoded: Decoded, form: spelling.Script) -> dict[str, Any]:
    confidences = [round(value, CONFIDENCE_DIGITS) for value in decoded.confidences]
    pure = spelling.purity(decoded.text, form) if decoded.text else 1.0
    return {
        "asr_text": decoded.text,
        "char_conf": confidences,
        "min_char_conf": min(confidences, default=None),
        "repetition": repetition.measure(decoded.text),
        "oov": round(1 - pure, telemetry.DIGITS),
        "n_best": [
            {"text": text, "score": round(score, telemetry.DIGITS)}
            for text, score in decoded.n_best
        ],
    }
