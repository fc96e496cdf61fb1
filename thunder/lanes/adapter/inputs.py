"""The model folder and the corpus of a job: where the site says, or built in place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.corpora import build, corpus
from thunder.ground import digest, folders, input_files
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.model import standin
from thunder.training import events
from thunder.training.events import Emit


@dataclass(frozen=True)
class Inputs:
    """What a job reads, on this machine.

    Args:
        stand_ins: the names of those that were built in place, now or earlier.
    """

    model: Path
    data: Path
    stand_ins: tuple[str, ...]


def locate(config: Mapping[str, Any], emit: Emit) -> Inputs:
    """Return the inputs' folders, building the stand-ins that are not there yet."""
    cache = Path(config["runtime"]["outputs"]) / folders.CACHE
    paths = config["runtime"]["paths"]
    model, data = config["model"]["source"], config["data"]["source"]
    built = tuple(name for name, source in (("model", model), ("data", data)) if "recipe" in source)
    rows = _built_corpus(data, cache, emit) if "data" in built else Path(paths["data"])
    folder = _built_model(model, rows, cache, emit) if "model" in built else Path(paths["model"])
    marked = config["runtime"]["stand_ins"]
    return Inputs(folder, rows, tuple(sorted({*built, *marked})))


def _built_corpus(source: Mapping[str, Any], cache: Path, emit: Emit) -> Path:
    target = cache / f"corpus-{digest.of_value(dict(source))[:12]}"
    if not (target / input_files.MANIFEST).is_file():
        message = f"building the stand-in corpus: {source['rows']} rows, {source['script']}"
        emit(events.phase("prepare", message))
        build.build_recipe(dict(source), target)
    return target


def _built_model(source: Mapping[str, Any], data: Path, cache: Path, emit: Emit) -> Path:
    name = standin.digest_of(dict(source), corpus.digest(data))[:12]
    target = cache / f"model-{name}"
    if not (target / input_files.CONFIG).is_file():
        message = f"building the stand-in model: a Gemma 4 of {source['layers']} layers"
        emit(events.phase("prepare", message))
        standin.build(dict(source), _texts(data), target)
    return target


def _texts(data: Path) -> list[str]:
    rows = corpus.load(data)["train"]
    texts = [message["content"] for row in rows for message in row["messages"]]
    if not texts:
        raise ThunderError(f"{data}: no text to build a stand-in from", "data")
    return texts
