"""What the rest of thunder must know of ASR jobs, and of the features that they need."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from thunder.ground import run_files
from thunder.ground.kind import Config, Fault, Kind
from thunder.lanes.asr import artifacts, scripts

_HALVED = "whisper_12p5hz_375"
_PACKAGES = ("torch", "soundfile", "soxr")
_SLOWED_BY = ("model", "data", "features", "train", "evaluate")


def _rules(config: Config) -> Iterator[Fault]:
    yield from scripts.faults(config)
    yield from _of_split(config["split"])
    yield from _of_model(config)
    yield from _of_features(config)


def _of_split(split: Mapping[str, Any]) -> Iterator[Fault]:
    if split["rule"] == "grouped" and split["by"] is None:
        yield ("split", "by"), "null, but a grouped split needs it: text, or a column"
    if split["rule"] != "grouped" and split["by"] is not None:
        yield ("split", "by"), f"{split['by']!r} has no meaning for rule {split['rule']}: use null"
    if split["train"] + split["valid"] >= 1:
        fault = (
            f"train and valid are {split['train'] + split['valid']:g} of the rows: none for test"
        )
        yield ("split", "valid"), fault


def _of_model(config: Config) -> Iterator[Fault]:
    size, stride = config["model"]["size"], config["model"]["stride"]
    if size["width"] % size["heads"]:
        yield ("model", "size", "heads"), f"{size['heads']} does not divide width {size['width']}"
    if size["kernel"] % 2 == 0:
        yield ("model", "size", "kernel"), f"{size['kernel']} is even; an odd one has a middle"
    if config["features"]["source"].get("stored") == _HALVED and stride > 1:
        fault = f"{stride}, but {_HALVED} was downsampled before: 1 is needed"
        yield ("model", "stride"), fault


def _of_features(config: Config) -> Iterator[Fault]:
    features = config["features"]
    if "channel" in features and "stored" in features["source"]:
        text = f"{features['channel']!r}, but stored features are no audio: leave it out"
        yield ("features", "channel"), text


def _stand_ins(config: Config) -> Sequence[str]:
    """Mark a model of a size that no result is made with: it has its own factor on the rate."""
    return ("model",) if config["model"]["size"]["learning_rate_factor"] != 1 else ()


KINDS = {
    "asr": Kind(
        "thunder.lanes.asr.job:run",
        1,
        needs={"asr_features": ("data", "features")},
        artifacts=(
            artifacts.RESULTS, artifacts.LOG, run_files.LOG, artifacts.SPLIT, artifacts.VOCABULARY,
            artifacts.BEST, artifacts.predictions("test"), artifacts.references("test"),
            artifacts.by_partition("test"),
        ),
        packages=_PACKAGES,
        extra="asr",
        metrics=(
            "test_cer_micro", "test_cer_low", "test_cer_high", "test_cer_macro", "test_cer_raw",
            "test_cer_toneless", *(f"test_cer{suffix}" for suffix in artifacts.PASSES.values()),
            "test_wer", "test_exact", "valid_cer_micro", "valid_cer", "valid_loss", "train_loss",
            "best_epoch", "epochs_trained", "parameters", "learning_rate", "grad_norm_max",
            *(f"infeasible_{split}" for split in artifacts.SPLITS), "nan_batches", "nonfinite",
            "blank_mass", "stable_share", "train_seconds", "seconds", "utterances_per_second",
        ),
        headline="test_cer_micro",
        told_by=("script", "mode", "seed"),
        alike=("data", "split", "features"),
        timed_by=(("mode", *_SLOWED_BY), _SLOWED_BY),  # one mode of a model may be slower
        bounded_by="train.epochs bounds it, and the same command goes on after Ctrl-C",
        rules=_rules,
        settled=scripts.settled,
        inspects="thunder.lanes.asr.data.inspection:inspect",
        stand_ins=_stand_ins,
        recipes={"spoken": "thunder.lanes.asr.speech.spoken:builder_digest"},
        imports={"import-speech": "thunder.lanes.asr.data.importer:made"},
        tables="thunder.lanes.asr.results.bundle",
        page="thunder.lanes.asr.results.pages.errors",
        decodes="thunder.lanes.asr.evaluation.again:check",
        claims="thunder.lanes.asr.results.claims:SUPPORT",
    ),
    "asr_features": Kind(
        "thunder.lanes.asr.features.job:run",
        1,
        packages=_PACKAGES,
        extra="asr",
        metrics=(
            "rows", "rejected", "cut", "frames", "hours", "bytes", "seconds_taken",
            "utterances_per_second",
        ),
        alike=("data", "features"),
        timed_by=(("data", "features"),),
        rules=_of_features,
        room="thunder.lanes.asr.features.room:of",
        recipes={"spoken": "thunder.lanes.asr.speech.spoken:builder_digest"},
    ),
}  # fmt: skip
