"""The stand-in data set: generated sentences, bridged to N'Ko and spoken by the synthesizer."""

import wave
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from thunder.ground import digest, draws, files, schema
from thunder.ground.errors import ThunderError
from thunder.ground.input_files import MANIFEST
from thunder.lanes.asr.data import recordings
from thunder.lanes.asr.speech import sounds
from thunder.language import bridge, sentences, spelling

if TYPE_CHECKING:
    from numpy.typing import NDArray

REVISION = 1  # raise it when the same recipe gives other rows
CHARS = (16, 38)  # 1.5 to 3.5 seconds
BRIDGE = bridge.V2_STANDARD
PAIRS = "pairs.jsonl"
_DRAWN_AT_ONCE = 2.5  # sentences for each row: about half of them are short

Progress = Callable[[int, int], None]


class Utterance(NamedTuple):
    """One row before it is spoken."""

    feat_id: str
    latin: str
    voice: sounds.Voice


def build(
    source: Mapping[str, Any], target: Path, progress: Progress | None = None
) -> dict[str, Any]:
    """Build the data folder of a recipe and return its manifest; one that is there is kept.

    The folder has pairs.jsonl, audio/<feat_id>.wav and manifest.json, and appears whole or not at
    all. Two builds are the same, byte by byte.

    Args:
        source: {"recipe": "spoken", "rows": int, "seed": int}.
        progress: told after each utterance how many are done, and of how many.
    """
    if source["recipe"] != "spoken":
        raise ThunderError(f"no recipe {source['recipe']!r} for speech; there is 'spoken'")
    if (target / MANIFEST).is_file():
        return dict(files.read_json(target / MANIFEST))
    if target.exists():
        raise ThunderError(
            f"{target}: no {MANIFEST} in it; remove the folder and try again", "data"
        )
    with files.fresh_folder(target) as folder:
        (folder / recordings.FOLDER).mkdir()
        rows = []
        for utterance in utterances(source["rows"], source["seed"]):
            rows.append(_spoken(utterance, folder))
            if progress is not None:
                progress(len(rows), source["rows"])
        files.write_jsonl(folder / PAIRS, rows)
        manifest = _manifest(source, rows, folder)
        files.write_json(folder / MANIFEST, manifest)
    return manifest


def builder_digest(source: Mapping[str, Any]) -> str:
    """Return the digest of what shapes the data besides the settings: rules, words and sounds."""
    sha256, _ = sentences.vocabulary("latin")
    shape = {
        "revisions": {"spoken": REVISION, "sounds": sounds.REVISION},
        "normaliser_version": spelling.NORMALISER_VERSION,
        "bridge": BRIDGE,
        "chars": CHARS,
        "sounds": {name: list(parts) for name, parts in sounds.SOUNDS.items()},
        "voices": sounds.VOICES,
        "words": sha256,
    }
    return digest.of_value(_plain(shape))


def utterances(count: int, seed: int) -> Iterator[Utterance]:
    """Yield distinct short sentences, each with a voice; fewer are the first of more."""
    for number, latin in enumerate(_short(count, seed)):
        voice = draws.pick(draws.stream("voice", seed, number), sounds.VOICES)
        yield Utterance(f"bam_train_{number:06d}", latin, voice)


def _short(count: int, seed: int) -> list[str]:
    low, high = CHARS
    drawn = int(count * _DRAWN_AT_ONCE) + 40
    while True:
        every = sentences.generate(drawn, seed, "latin")
        short = list(islice((text for text in every if low <= len(text) <= high), count))
        if len(short) == count:
            return short
        drawn *= 2


def _spoken(utterance: Utterance, folder: Path) -> dict[str, Any]:
    from thunder.lanes.asr.speech import (
        synthesizer as speech,  # numpy, which planning must not load
    )

    samples = speech.say(utterance.latin, utterance.voice)
    _write_wave(folder / recordings.FOLDER / f"{utterance.feat_id}.wav", samples, speech.RATE_HZ)
    row = {
        "feat_id": utterance.feat_id,
        "nko": bridge.to_nko(utterance.latin, BRIDGE),
        "latin": utterance.latin,
        "duration_s": round(len(samples) / speech.RATE_HZ, 4),
        "voice": utterance.voice.name,
    }
    schema.check("pairs_row", row, PAIRS, cause="crash")
    return row


def _write_wave(path: Path, samples: "NDArray[Any]", rate_hz: int) -> None:
    """Write 16-bit samples; the standard library writes the same bytes for ever."""
    with files.naming(path), wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(rate_hz)
        stream.writeframes((samples * 32767).round().astype("<i2").tobytes())


def _manifest(
    source: Mapping[str, Any], rows: list[dict[str, Any]], folder: Path
) -> dict[str, Any]:
    sha256, count = sentences.vocabulary("latin")
    manifest = {
        "name": f"spoken-{source['rows']}-{source['seed']}",
        "created_by": "thunder",
        "builder": "spoken",
        "builder_sha256": builder_digest(source),
        "stand_in": True,
        "seed": source["seed"],
        "inputs": [{"path": f"CLDR {sentences.LOCALES['latin']}", "sha256": sha256, "rows": count}],
        "license": "Unicode-3.0",
        "bridge_version": BRIDGE,
        "normaliser_version": spelling.NORMALISER_VERSION,
        "counts": {"rows": len(rows), "omitted": {}, "changed": 0},
        "seconds": round(sum(row["duration_s"] for row in rows), 3),
        "omitted": {},
        "changed": {},
        "sha256": folder_digests(folder),
    }
    schema.check("pairs_manifest", manifest, MANIFEST, cause="crash")
    return manifest


def folder_digests(folder: Path) -> dict[str, str]:
    """Return the digest of the rows, and one of all recordings with their names."""
    return {
        PAIRS: digest.of_file(folder / PAIRS),
        recordings.FOLDER: digest.of_folder(folder / recordings.FOLDER),
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: what is a dataclass becomes an object."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
