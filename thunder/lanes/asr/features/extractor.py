"""What turns rows into frames, by the source that a config names."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.lanes.asr.features import channels, layouts
from thunder.lanes.asr.features.rows import Outcome, Row


@dataclass(frozen=True)
class Extractor:
    """Frames in two steps: what many can do at once, and what one encoder does after it.

    Args:
        prepare: a chunk of rows to what `finish` takes; called in other processes or threads.
        finish: that to the outcome of every row, in order; called here.
        in_processes: whether `prepare` may leave this process.
    """

    layout: str
    dims: int
    name: str
    digest: str
    versions: Mapping[str, str]
    prepare: Callable[[list[Row]], Any]
    finish: Callable[[Any], Iterable[Outcome]]
    in_processes: bool


def choose(config: Mapping[str, Any], folder: Path, rows: Iterator[Row]) -> Extractor:
    """Return the extractor of a config's feature source.

    Args:
        folder: of the data.
        rows: the first rows, to see how wide stored features are.
    """
    features = config["features"]
    source, seconds = features["source"], features["seconds"]
    channel = features.get("channel", channels.MIX)
    if "log_mel" in source:
        return _log_mel(folder, source["log_mel"], seconds, channel)
    if "stored" in source:
        return _stored(config, folder, rows)
    paths = config["runtime"]["paths"]
    if "features" not in paths:
        raise ThunderError("features.source: no folder of it on this machine", "environment")
    return _whisper(Path(paths["features"]), source, folder, seconds, channel)


# Each imports its own libraries: log-mel frames need no transformers model, stored ones no audio.
def _log_mel(folder: Path, mels: int, seconds: float, channel: str) -> Extractor:
    from thunder.lanes.asr.features import log_mel

    return Extractor(
        layout=log_mel.LAYOUT.name,
        dims=layouts.STACKED * mels,
        name=log_mel.name(mels),
        digest=log_mel.encoder_digest(mels),
        versions=log_mel.versions(),
        prepare=log_mel.extractor(folder, mels, seconds, channel),
        finish=iter,
        in_processes=True,
    )


def _stored(config: Mapping[str, Any], folder: Path, rows: Iterator[Row]) -> Extractor:
    from thunder.lanes.asr.features import stored

    features = config["features"]
    source = features["source"]["stored"]
    _check_window(features["seconds"], stored.WINDOW_SECONDS, source)
    dims = stored.width(folder, rows)
    return Extractor(
        layout=stored.layout_of(source).name,
        dims=dims,
        name=f"stored_{source}",
        digest=stored.encoder_digest(source, config["data"]["source"]),
        versions=stored.versions(),
        prepare=stored.extractor(folder, source, dims, features["seconds"]),
        finish=iter,
        in_processes=True,
    )


def _whisper(
    model: Path, source: Mapping[str, Any], folder: Path, seconds: float, channel: str
) -> Extractor:
    from thunder.lanes.asr.features import whisper

    loaded = whisper.load(model)
    _check_window(seconds, loaded.seconds, f"the encoder in {model}")
    return Extractor(
        layout=whisper.LAYOUT.name,
        dims=loaded.dims,
        name=whisper.name(model),
        digest=whisper.encoder_digest(source),
        versions=whisper.versions(loaded),
        prepare=whisper.preparer(folder, loaded, seconds, channel),
        finish=lambda prepared: whisper.encode(loaded, prepared),
        in_processes=False,
    )


def _check_window(seconds: float, window: float, what: str) -> None:
    """Refuse a limit that nothing can reach: what is longer would be cut before it, unsaid."""
    if seconds > window:
        raise ThunderError(f"features.seconds is {seconds:g}, and {what} has {window:g} s at most")
