"""Recorded prompts with a list of transcripts, made into a data folder: every omission is named."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.corpora import corpus
from thunder.ground import digest, files, schema, wording
from thunder.ground.errors import Faults, ThunderError
from thunder.ground.input_files import MANIFEST
from thunder.lanes.asr.data import imported, listing, pair, recordings
from thunder.lanes.asr.data.imported import NOTHING_SAID, OFFSET, UNREADABLE, Gathered, Wishes
from thunder.lanes.asr.data.listing import Asked, Listed
from thunder.lanes.asr.speech.spoken import PAIRS, folder_digests

JOINT = "__"  # stands in an id where the path has a /
_SHOWN_NAMES = 3
LONGEST_SECONDS = 3600.0
# Why something was left out; the transcript or the fault stands beside each name.
NO_AUDIO = "no_audio"
NO_TRANSCRIPT = "no_transcript"
SECOND_RECORDING = "second_recording"
OTHER_FILE = "not_audio"

Progress = Callable[[int, int], None]


def _silent(done: int, of: int) -> None:
    """Tell nobody."""


def import_speech(
    folder: Path,
    asked: Sequence[Asked],
    target: Path,
    wishes: Wishes = NOTHING_SAID,
    progress: Progress = _silent,
) -> dict[str, Any]:
    """Make a data folder of recordings and their transcripts, and return its manifest.

    Rows have the columns feat_id, one of text by the name of each script, duration_s and origin
    (the folder inside `folder`). Recordings are copied. What is left out is named, by reason.

    Args:
        folder: recordings, in folders of any depth.
        asked: the transcripts in one script, or in several: used is what has all of its texts.
        progress: told how many recordings are done, and of how many.

    Raises:
        Faults: too much was left out; nothing was made.
    """
    _check(folder, target)
    listed = listing.read(asked)
    gathered = Gathered()
    recorded = _recordings(folder, gathered)
    audio = _usable(recorded, listed, gathered)
    paired = _paired(folder, asked, audio, listed, gathered)
    _check_left_out(len(paired), listed, recorded, gathered, wishes)
    with files.fresh_folder(target) as made:
        for done, name in enumerate(paired, 1):
            _add(name, audio[name], listed.texts[name], made, gathered, wishes.channel)
            progress(done, len(paired))
        _check_any(folder, gathered)
        _check_left_out(len(gathered.rows), listed, recorded, gathered, wishes)
        manifest = imported.manifest(folder, asked, listed, gathered, wishes)
        _write(made, gathered, manifest)
    return manifest


def _write(made: Path, gathered: Gathered, manifest: dict[str, Any]) -> None:
    files.write_jsonl(made / PAIRS, gathered.rows.values())
    manifest["sha256"] = folder_digests(made)
    schema.check("pairs_manifest", manifest, MANIFEST, cause="crash")
    files.write_json(made / MANIFEST, manifest)


def _check_left_out(
    rows: int,
    listed: Listed,
    recorded: Mapping[str, Path],
    gathered: Gathered,
    wishes: Wishes,
) -> None:
    why = imported.left_out_lines(gathered.omitted)
    for what, count in (("transcript", len(listed.names)), ("recording", len(recorded))):
        corpus.check_left_out(count - rows, count, what, wishes.most_left_out, why)


def _check(folder: Path, target: Path) -> None:
    corpus.check_target(target)
    if not folder.is_dir():
        raise ThunderError(f"{folder}: no such folder", "data")
    missing = [name for name in ("soundfile", "soxr") if importlib.util.find_spec(name) is None]
    if missing:
        raise ThunderError(
            f"{' and '.join(missing)} not installed; recordings are read with it: "
            "pip install -c constraints.txt -e '.[asr]'",
            "environment",
        )


def _recordings(folder: Path, gathered: Gathered) -> dict[str, Path]:
    """Return every recording by its path without suffix; what else lies there is named."""
    audio: dict[str, Path] = {}
    for place in sorted(digest.visible_files(folder), key=_rank):
        if not wording.is_text(place):
            raise ThunderError(f"{folder}: {place!a} is not a name in UTF-8; rename it", "data")
        stem = recordings.stem(place)
        if not recordings.is_recording(place):
            gathered.omit(OTHER_FILE, place, "")
        elif stem in audio:
            gathered.omit(SECOND_RECORDING, place, f"{audio[stem].name} was taken")
        else:
            audio[stem] = folder / place
    return audio


def _usable(audio: Mapping[str, Path], listed: Listed, gathered: Gathered) -> dict[str, Path]:
    """Return the recordings but for those whose transcript cannot be used, which are named."""
    for reason, entries in listed.omitted.items():
        for name, transcript in entries.items():
            gathered.omit(reason, name, transcript)
    # A transcript that is there twice is used once.
    out = {name for entries in listed.omitted.values() for name in entries} - listed.texts.keys()
    return {name: path for name, path in audio.items() if name not in out}


def _check_any(folder: Path, gathered: Gathered) -> None:
    if not gathered.rows:
        why = imported.left_out_lines({UNREADABLE: gathered.omitted[UNREADABLE]})
        raise Faults(f"{folder}: none of its recordings could be used:", why, "data")


def _rank(place: str) -> tuple[int, str]:
    """Order names so that of two forms of a recording the one that lost nothing comes first."""
    suffix = place.rpartition(".")[2].lower()
    known = suffix in recordings.SUFFIXES
    return recordings.SUFFIXES.index(suffix) if known else len(recordings.SUFFIXES), place


def _paired(
    folder: Path,
    asked: Sequence[Asked],
    audio: Mapping[str, Path],
    listed: Listed,
    gathered: Gathered,
) -> list[str]:
    """Return the names that have both a recording and a transcript."""
    for name in sorted(audio.keys() - listed.texts.keys()):
        gathered.omit(NO_TRANSCRIPT, name, "")
    for name in sorted(listed.texts.keys() - audio.keys()):
        gathered.omit(NO_AUDIO, name, " | ".join(listed.texts[name].values()))
    paired = sorted(audio.keys() & listed.texts.keys())
    if not paired:
        raise ThunderError(_nothing_paired(folder, asked, audio, listed), "data")
    return paired


def _nothing_paired(
    folder: Path, asked: Sequence[Asked], audio: Mapping[str, Path], listed: Listed
) -> str:
    files = " and ".join(str(one.file) for one in asked)
    left_out = [f"{len(texts)} for {reason}" for reason, texts in listed.omitted.items() if texts]
    if left_out and not listed.texts:
        return (
            f"{files}: no transcript can be used; left out {', '.join(left_out)}. They must be "
            f"letters of script {' and '.join(one.letters.form.name for one in asked)}, "
            f"numbers written as words{listing.outside(asked, listed.omitted)}; "
            "another script, or the letters that the texts have: --script nko, --script from_data"
        )
    inner = next((name for name in audio if os.path.basename(name) in listed.texts), "")
    hint = f"; name the folder {folder / os.path.dirname(inner)}" if "/" in inner else ""
    return (
        f"{files}: no transcript is of a recording in {folder}; "
        f"transcripts name {_some(listed.texts)}, recordings are {_some(audio)}{hint}"
    )


def _some(names: Mapping[str, Any]) -> str:
    return wording.some([*map(repr, sorted(names))], _SHOWN_NAMES) or "nothing"


def _add(
    name: str,
    source: Path,
    texts: Mapping[str, str],
    made: Path,
    gathered: Gathered,
    channel: str,
) -> None:
    """Copy a recording, and keep it and its row if it can be read."""
    feat_id = name.replace("/", JOINT)
    if fault := pair.id_fault(feat_id):
        raise ThunderError(f"{source}: the id of the recording {fault}; rename it", "data")
    (made / recordings.FOLDER).mkdir(exist_ok=True)
    target = made / recordings.FOLDER / f"{feat_id}{source.suffix.lower()}"
    if target.exists():
        raise ThunderError(f"{source}: its id {feat_id!r} is that of another recording", "data")
    shutil.copyfile(source, target)
    seconds = _seconds(name, target, gathered, channel)
    if seconds is None:
        target.unlink()
        return
    row = {
        "feat_id": feat_id,
        **texts,
        "duration_s": round(seconds, 4),
        "origin": os.path.dirname(name) or ".",
    }
    schema.check("pairs_row", row, PAIRS, cause="crash")
    gathered.rows[name] = row


def _seconds(name: str, copy: Path, gathered: Gathered, channel: str) -> float | None:
    """Return the length of a recording, None with the reason named where nothing can be heard."""
    # soundfile and soxr, which planning must not load
    from thunder.lanes.asr.features import audio, channels

    try:
        heard = audio.read(copy, LONGEST_SECONDS, channel)
    except audio.Unreadable as error:
        gathered.omit(UNREADABLE, name, error.told("--channel"))
        return None
    if offset := channels.offset(heard.samples):
        said = f"a constant offset of {offset:.2g}, louder than its sound"
        gathered.noticed.setdefault(OFFSET, {})[name] = said
    return heard.duration_s
