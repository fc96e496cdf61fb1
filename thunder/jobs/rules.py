"""Faults that lie between keys of a config, which no schema can see."""

from collections.abc import Iterator, Mapping
from typing import Any

Fault = tuple[tuple[str | int, ...], str]
_FILLED = ("command", "reproduce", "paths", "stand_ins")
_HALVED = "whisper_12p5hz_375"


def faults(config: Mapping[str, Any], total: int | None) -> list[Fault]:
    """Return every fault between keys, each with the path of the key that is to be changed.

    Args:
        total: steps of the whole job; None for a kind without steps.
    """
    found = [*_of_runtime(config, total), *_of_ranks(config.get("train", {}))]
    if config["kind"] == "asr":
        found += [*_of_texts(config), *_of_split(config["split"]), *_of_model(config)]
    return found


def _of_runtime(config: Mapping[str, Any], total: int | None) -> Iterator[Fault]:
    runtime, kind = config["runtime"], config["kind"]
    for key in _FILLED:
        if runtime[key]:
            yield ("runtime", key), "is filled in when a job is made; it cannot be set"
    if total is None and kind != "dry":  # dry stands for any kind, to try matrices with
        way = "; train.epochs bounds it, and the same command goes on after Ctrl-C"
        text = f"a job of kind {kind} has no steps to stop at{way if kind == 'asr' else ''}"
        yield from ((("runtime", key), text) for key in ("window", "target") if runtime[key])
    target = runtime["target"]
    if total is not None and target is not None and target > total:
        yield ("runtime", "target"), f"{target} is past the end: the job has {total} steps"


def _of_ranks(train: Mapping[str, Any]) -> Iterator[Fault]:
    if "rank_weights" in train and len(train["rank_weights"]) != train["ranks"]:
        weights, ranks = len(train["rank_weights"]), train["ranks"]
        yield ("train", "rank_weights"), f"{weights} weights for {ranks} ranks"


def _of_texts(config: Mapping[str, Any]) -> Iterator[Fault]:
    columns, script, bridge = config["data"]["columns"], config["script"], config["text"]["bridge"]
    read = "latin" if script == "nko" and bridge != "none" else script
    if columns[read] is None:
        way = "; or text.bridge=v2_standard, which makes N'Ko of Latin" if read == "nko" else ""
        yield ("data", "columns", read), f"null, but script {script} needs a column of it{way}"


def _of_split(split: Mapping[str, Any]) -> Iterator[Fault]:
    if split["rule"] == "grouped" and split["by"] is None:
        yield ("split", "by"), "null, but a grouped split needs it: text, or a column"
    if split["rule"] != "grouped" and split["by"] is not None:
        yield ("split", "by"), f"{split['by']!r} has no meaning for rule {split['rule']}: use null"
    if split["train"] + split["valid"] >= 1:
        text = f"train and valid are {split['train'] + split['valid']:g} of the rows: none for test"
        yield ("split", "valid"), text


def _of_model(config: Mapping[str, Any]) -> Iterator[Fault]:
    size, stride = config["model"]["size"], config["model"]["stride"]
    if size["width"] % size["heads"]:
        yield ("model", "size", "heads"), f"{size['heads']} does not divide width {size['width']}"
    if size["kernel"] % 2 == 0:
        yield ("model", "size", "kernel"), f"{size['kernel']} is even; an odd one has a middle"
    if config["features"]["source"].get("stored") == _HALVED and stride > 1:
        text = f"{stride}, but {_HALVED} was downsampled before: 1 is needed"
        yield ("model", "stride"), text
