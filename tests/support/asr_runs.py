"""Folders of `asr` runs as a finished run leaves them, from seeded texts with errors, untrained."""

import random
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from thunder.ground import digest, files, schema
from thunder.lanes.asr.data import letters as alphabets
from thunder.lanes.asr.data import split, vocabulary
from thunder.lanes.asr.evaluation import dumps, partition, repetition, tally
from thunder.lanes.asr.model import definitions
from thunder.lanes.asr.model.oracle import NAMES
from thunder.language import sentences, spelling
from thunder.scoring import intervals
from thunder.scoring.score import VARIANTS, Counts, counts, part, summary

ORIGINS = ("afvoices", "bam_asr_early")
SUTA_ROWS = 200
FRAMES_PER_SECOND = 25
CHARS_PER_SECOND = 12.5
# Suffix of the dump, what its rows say, error rate over that of the main way.
ADAPTED = {
    "off": ("_ttt_off", "none", 1.05),
    "shuffled": ("_ttt_shuffled", "ttt", 1.1),
    "suta": ("_suta", "suta", 0.95),
}
FEATURES = "c" * 64
_LETTERS = {"nko": alphabets.NKO[10:40], "latin": alphabets.LATIN}
BY_VARIANT = dict[str, Counts]

Row = dict[str, Any]


def write_artifacts(
    folder: Path,
    *,
    script: str,
    mode: str,
    seed: int,
    rows: int,
    error_rate: float,
    run_id: str,
    snapshot: str = "a" * 64,
    split: str = "b" * 64,
    stand_in: bool = True,
    valid_rows: int | None = None,
    learning_rate: float = 3e-4,
) -> None:
    """Write all artifacts of a believable run of one cell; nothing of it was trained.

    Texts and ids depend on script and rows alone, so two cells are of the same data; the errors
    depend on mode and seed as well. results.json follows from the dumps.

    Args:
        rows: of test.
        error_rate: about the micro CER of test.
        split: what results.json says of the split; the ids in split.json are those of the dumps.
        valid_rows: by default as many as of test, at most 2,000.
    """
    about = {"script": script, "mode": mode, "model_run_id": run_id}
    sizes = {"valid": min(rows, 2000) if valid_rows is None else valid_rows, "test": rows}
    plain = {
        name: list(_rows(name, size, about, error_rate, f"{mode}/{seed}"))
        for name, size in sizes.items()
    }
    policy = partition.fit(plain["valid"], run_id)
    partition.write(folder / "partition_policy.json", policy)
    vocabulary.write(folder / "vocab.json", vocabulary.make(script))
    dumped = {name: _dump(folder, name, plain[name], policy, run_id) for name in plain}
    adapted = dict(_adapted(folder, about, rows, error_rate, seed, policy))
    origins = {"seed": seed, "lr": learning_rate, "stand_in": stand_in}
    origins |= {"snapshot_sha256": snapshot, "split_sha256": split, "features_sha256": FEATURES}
    document = _results(dumped, adapted, about, policy) | origins
    schema.check("asr_results", document, "results.json", cause="crash")
    files.write_json(folder / "results.json", document)
    _rest(folder, sizes, document)


def ids(split: str, rows: int) -> list[str]:
    """Return the ids of the rows of a split: the same in every script and mode."""
    start = {"train": 0, "valid": 300_000, "test": 600_000}[split]
    return [f"bam_train_{start + index:06d}" for index in range(rows)]


@cache
def texts(script: str, split: str, rows: int) -> tuple[str, ...]:
    """Return what is said in the rows of a split; of fewer rows, the first of more."""
    return tuple(sentences.generate(rows, {"valid": 1, "test": 2}[split], script))


def _rows(
    split: str, rows: int, about: Mapping[str, Any], error_rate: float, draws: str
) -> Iterator[Row]:
    script = about["script"]
    form = spelling.script(script)
    letters = _LETTERS[script]
    spoken, heard, telemetries = [], [], []
    for feat_id, reference in zip(ids(split, rows), texts(script, split, rows), strict=True):
        rng = random.Random(f"{feat_id}/{script}/{draws}")
        badness = rng.expovariate(1.0)
        spoken.append(reference)
        heard.append(_garbled(reference, min(error_rate * badness, 0.9), letters, rng))
        telemetries.append(_telemetry(reference, heard[-1], badness, rng))
    counted = counts(spoken, heard, script, "norm")
    for number, feat_id in enumerate(ids(split, rows)):
        pure = spelling.purity(heard[number], form) if heard[number] else 1.0
        yield {
            "feat_id": feat_id,
            "audio_id": feat_id,
            "split": split,
            **about,
            "asr_text": heard[number],
            "reference_text": spoken[number],
            "cer_edits": int(counted.edits[number]),
            "reference_chars": int(counted.chars[number]),
            **telemetries[number],
            "oov": round(1 - pure, 6),
            "adapted": "ttt" if about["mode"] == "trajectory_ttt" else "none",
            "bridge_version": "none",
        }


def _garbled(text: str, share: float, letters: Sequence[str], rng: random.Random) -> str:
    """Return a text some of whose characters are dropped, replaced, or follow another one."""
    pieces = []
    for char in text:
        if rng.random() >= share:
            pieces.append(char)
            continue
        what, other = rng.random(), letters[int(rng.random() * len(letters))]
        pieces.append("" if what < 0.3 else other if what < 0.8 else char + other)
    return unicodedata.normalize("NFC", " ".join("".join(pieces).split()))


def _telemetry(text: str, heard: str, badness: float, rng: random.Random) -> Row:
    """Return measures of a model that is the less sure the more errors it makes."""
    sure = max(0.4, 0.99 - 0.06 * badness - 0.04 * rng.random())
    confidences = [round(max(0.05, sure - (1 - sure) * rng.random()), 4) for _ in heard]
    seconds = round(len(text) / CHARS_PER_SECOND * (0.8 + 0.4 * rng.random()), 3)
    frames = max(1, round(seconds * FRAMES_PER_SECOND))
    logp = round(sure - 1, 6)
    scalars = {name: _scalar(badness, rng) for name in NAMES}
    scalars["recovery_margin"] = _scalar(-badness, rng)
    at_edge = scalars["transition_pressure"]["max"] - (0.0 if rng.random() < 0.2 else 0.2)
    return {
        "trajectory_scalars": scalars,
        "edge_pressure": round(at_edge, 6),
        "avg_logp": logp,
        "mean_maxp": round(sure, 6),
        "mean_entropy": round(2 * (1 - sure), 6),
        "blank_mass": round(0.4 + 0.2 * rng.random(), 6),
        "min_char_conf": min(confidences, default=None),
        "char_conf": confidences,
        "char_frames": spread(len(heard), frames),
        "n_frames": frames,
        "duration_s": seconds,
        "repetition": repetition.measure(heard),
        "n_best": [{"text": heard, "score": round(logp * frames, 6)}],
    }


def spread(chars: int, frames: int) -> list[list[int]]:
    """Return one frame for each character, from the first frame on to the last."""
    firsts = [min(place * frames // chars, frames - 1) for place in range(chars)]
    return [[first, first + 1] for first in firsts]


def _scalar(badness: float, rng: random.Random) -> dict[str, float]:
    mean = min(0.95, 0.4 + 0.03 * badness + 0.1 * rng.random())
    return {
        "mean": round(mean, 6),
        "min": round(mean - 0.3, 6),
        "max": round(mean + 0.05 + 0.2 * rng.random(), 6),
        "last": round(mean - 0.1, 6),
    }


def _dump(
    folder: Path, split: str, plain: Sequence[Row], policy: Mapping[str, Any], run_id: str
) -> list[Row]:
    """Write predictions, references and metrics by partition of a split."""
    rows = [partition.labelled(row, policy) for row in plain]
    dumps.write(folder / f"{split}_predictions.jsonl", "asr_prediction", rows)
    origins = {row["feat_id"]: ORIGINS[number % 7 == 0] for number, row in enumerate(rows)}
    references = (
        {
            "feat_id": row["feat_id"],
            "script": row["script"],
            "reference_text": row["reference_text"],
            "reference_norm": spelling.scored(row["reference_text"], row["script"], "norm"),
            "origin": origins[row["feat_id"]],
            "text_disjoint": _is_disjoint(number),
        }
        for number, row in enumerate(rows)
    )
    dumps.write(folder / f"{split}_references.jsonl", "asr_reference", references)
    metrics = tally.by_partition(
        rows, origins.__getitem__, run_id=run_id, split=split, policy=policy
    )
    files.write_json(folder / f"{split}_metrics_by_partition.json", metrics)
    return rows


def _is_disjoint(number: int) -> bool:
    return number % 5 != 0


def _adapted(
    folder: Path,
    about: Mapping[str, Any],
    rows: int,
    error_rate: float,
    seed: int,
    policy: Mapping[str, Any],
) -> Iterator[tuple[str, list[Row]]]:
    """Write and yield the dumps of the other ways to hear test: a little worse, or better."""
    has_ttt = definitions.flags(about["mode"]).use_ttt
    for column in ADAPTED if has_ttt else ["suta"]:
        suffix, adapted, factor = ADAPTED[column]
        most = min(rows, SUTA_ROWS) if column == "suta" else rows
        drawn = _rows("test", most, about, error_rate * factor, f"{about['mode']}/{seed}")
        labelled = [partition.labelled({**row, "adapted": adapted}, policy) for row in drawn]
        dumps.write(folder / f"test_predictions{suffix}.jsonl", "asr_prediction", labelled)
        yield column, labelled


def _results(
    dumped: Mapping[str, Sequence[Row]],
    adapted: Mapping[str, Sequence[Row]],
    about: Mapping[str, Any],
    policy: Mapping[str, Any],
) -> dict[str, Any]:
    script, mode, test = about["script"], definitions.flags(about["mode"]), dumped["test"]
    by_split = {name: _counted(rows) for name, rows in dumped.items()}
    main = by_split["test"]["norm"]
    disjoint = np.array([_is_disjoint(number) for number in range(len(test))], bool)
    columns = {name: _counted(rows)["norm"] for name, rows in adapted.items()}
    columns |= {"on": main} if mode.use_ttt else {}
    sizes = {"train": 8 * len(test), **{name: len(rows) for name, rows in dumped.items()}}
    return {
        "run_id": about["model_run_id"],
        "kind": "asr",
        "script": script,
        "mode": about["mode"],
        "use_trajectory": mode.use_trajectory,
        "use_tar": mode.use_tar,
        "use_ttt": mode.use_ttt,
        "batch_size": 32,
        "dropout": 0.1,
        "n_params": 46_897_218 if script == "nko" else 46_877_224,
        "stride": 2,
        "lengths": "real",
        "feature_layout": "log_mel_50hz",
        "features_run": "f" * 64,
        "vocab_sha256": vocabulary.make(script).digest,
        "policy_sha256": policy["sha256"],
        "bridge_version": "none",
        "normaliser_version": spelling.SCORED_VERSION,
        "vocabulary_version": vocabulary.VERSION,
        "scheduler": "linear_warmup_cosine",
        "patience": 8,
        "epochs_trained": 47,
        "best_epoch": 39,
        "best_val_loss": 0.4 + summary(by_split["valid"]["norm"])["cer_micro"],
        "stopped_because": "patience",
        "nan_batches": 0,
        "wall_s": 3600.0,
        "device": "cpu",
        "precision": "float32",
        "ranks": 1,
        "test_cer": summary(main)["cer_micro"],
        "cer_ci95": list(intervals.bootstrap(main)),
        "splits": {name: _split(size) for name, size in sizes.items()},
        "valid": _summaries(by_split["valid"]),
        "test": _summaries(by_split["test"]),
        "text_disjoint": _summaries({v: part(by_split["test"][v], disjoint) for v in VARIANTS}),
        "adaptation": {
            name: _column(columns.get(name), main) for name in ("off", "on", "shuffled", "suta")
        },
        "blank_mass": sum(row["blank_mass"] for row in test) / len(test),
        "stable_share": sum(row["partition"] == "stable" for row in test) / len(test),
        "warnings": [],
        "definitions": definitions.definitions(about["mode"]),
    }


def _counted(rows: Sequence[Row]) -> BY_VARIANT:
    references = [row["reference_text"] for row in rows]
    texts = [row["asr_text"] for row in rows]
    return {v: counts(references, texts, rows[0]["script"], v) for v in VARIANTS}


def _summaries(counted: BY_VARIANT) -> dict[str, Any]:
    return {variant: summary(own) for variant, own in counted.items()}


def _column(counted: Counts | None, main: Counts) -> dict[str, Any] | None:
    if counted is None:
        return None
    same = part(main, np.arange(len(counted.edits)))
    return {**summary(counted), "main_cer_micro": summary(same)["cer_micro"]}


def _split(rows: int) -> dict[str, Any]:
    return {
        "rows": rows,
        "missing": 0,
        "empty": 0,
        "infeasible": rows // 100,
        "foreign_chars": 0,
        "chars": rows * 44,
        "hours": rows * 3.5 / 3600,
    }


def _rest(folder: Path, sizes: Mapping[str, int], document: Mapping[str, Any]) -> None:
    """Write the files that nothing here reads: the split, the learning curve, logs and weights."""
    files.write_json(folder / "split.json", _split_document(sizes, document["snapshot_sha256"]))
    curve = [_epoch(epoch, document) for epoch in range(1, document["epochs_trained"] + 1)]
    for row in curve:
        schema.check("metrics_row", row, "metrics.jsonl", cause="crash")
    files.write_jsonl(folder / "metrics.jsonl", curve)
    for name in ("train.log", "run.log"):
        files.write_text(folder / name, "not trained: written for a test\n")
    for name in ("best.pt", "last.pt"):
        files.write_bytes(folder / name, b"not trained: written for a test")


def _epoch(epoch: int, document: Mapping[str, Any]) -> dict[str, float]:
    left = abs(document["best_epoch"] - epoch) / document["best_epoch"]
    return {
        "step": epoch,
        "train_loss": document["best_val_loss"] * 0.9 + 2 * max(0, 1 - epoch / 47) ** 2,
        "valid_loss": document["best_val_loss"] + 2 * left**2,
        "valid_cer": min(1.0, document["test_cer"] + left**2),
    }


def _split_document(sizes: Mapping[str, int], snapshot: str) -> dict[str, Any]:
    members = {
        name: ids(name, size) for name, size in {"train": 8 * sizes["test"], **sizes}.items()
    }
    document = {
        "rule": "random",
        "by": None,
        "seed": 42,
        "train": 0.8,
        "valid": 0.1,
        "groups": None,
        "given": None,
        "left_out": 0,
        "snapshot": snapshot,
        "normaliser_version": spelling.NORMALISER_VERSION,
        "rows": {name: len(members[name]) for name in split.SPLITS},
        "sha256": {name: split.ids_digest(members[name]) for name in split.SPLITS},
    }
    document |= {"digest": digest.of_value(document), "ids": members}
    schema.check("split", document, "split.json", cause="crash")
    split.check(document)
    return document
