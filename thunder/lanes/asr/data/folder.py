"""The data folder of a job: where the site says, or the stand-in, built in place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thunder.ground import digest, folders
from thunder.lanes.asr.speech import spoken
from thunder.training import events
from thunder.training.events import Emit
from thunder.training.progress import Progress


def place(config: Mapping[str, Any]) -> Path:
    """Return where the data of a job lie, or will when its stand-in is built."""
    source = config["data"]["source"]
    if "recipe" not in source:
        return Path(config["runtime"]["paths"]["data"])
    cache = Path(config["runtime"]["outputs"]) / folders.CACHE
    return cache / f"speech-{digest.of_value(source)[:12]}"


def data_folder(config: Mapping[str, Any], emit: Emit) -> Path:
    """Return the folder of the pairs file and its audio; a stand-in that is not there is built."""
    source, target = config["data"]["source"], place(config)
    if "recipe" not in source:
        return target
    if not target.is_dir():
        text = f"building the stand-in speech: {source['rows']} utterances"
        emit(events.phase("prepare", text))
    shown = Progress(emit, 0, source["rows"], unit="utterances")
    spoken.build(source, target, lambda done, of: shown.add())
    return target
