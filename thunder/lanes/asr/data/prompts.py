"""Recorded prompts with a list of transcripts, made into a data folder: every omission is named."""

import importlib.util
import os
import shutil
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thunder.ground import digest, files, json_lines, schema, wording
from thunder.ground.errors import ThunderError
from thunder.ground.input_files import MANIFEST
from thunder.lanes.asr.data import listing, pair, recordings, transcripts
from thunder.lanes.asr.data.letters import Letters
from thunder.lanes.asr.data.listing import Asked, Listed
from thunder.lanes.asr.speech.spoken import PAIRS, folder_digests
from thunder.language import spelling

REVISION = 2  # raise it when the same recordings and transcripts give other rows
JOINT = "__"  # stands in an id where the path has a /
LONGEST_SECONDS = 3600.0
# Why something was left out; the transcript or the fault stands beside each name.
NO_AUDIO = "no_audio"
NO_TRANSCRIPT = "no_transcript"
UNREADABLE = "unreadable_audio"
SECOND_RECORDING = "second_recording"
OTHER_FILE = "not_audio"

Progress = Callable[[int, int], None]


def _silent(done: int, of: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class _Gathered:
    """What an import gathers."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)  # by the name of the recording
    omitted: dict[str, dict[str, str]] = field(default_factory=dict)

    def omit(self, reason: str, name: str, what: str) -> None:
        self.omitted.setdefault(reason, {})[name] = what


def import_speech(
    folder: Path,
    transcript_file: Path,
    target: Path,
    license: str | None = None,
    progress: Progress = _silent,
    letters: Letters = transcripts.LATIN,
    others: Sequence[tuple[Letters, Path]] = (),
) -> dict[str, Any]:
    """Make a data folder of recordings and their transcripts, and return its manifest.

    Rows have the columns feat_id, one of text by the name of each script, duration_s and origin
    (the folder inside `folder`). Recordings are copied. What is left out is named, by reason.

    Args:
        folder: recordings, in folders of any depth.
        transcript_file: `name: text` lines as in Debian's asterisk-core-sounds-en, or a table,
            see `transcripts.read`; may be gzipped.
        license: of the recordings; None: as a Debian `copyright` beside the transcripts says.
        letters: those of the transcripts; a text with others is left out.
        others: letters and transcripts of the same recordings in further scripts; used is what
            has all of its texts.
        progress: told how many recordings are done, and of how many.
    """
    _check(folder, target)
    asked, gathered = [(letters, transcript_file), *others], _Gathered()
    listed = listing.read(asked)
    audio = _usable(_recordings(folder, gathered), listed, gathered)
    paired = _paired(folder, asked, audio, listed, gathered)
    with files.fresh_folder(target) as made:
        for done, name in enumerate(paired, 1):
            _add(name, audio[name], listed.texts[name], made, gathered)
            progress(done, len(paired))
        _check_any(folder, gathered)
        files.write_jsonl(made / PAIRS, gathered.rows.values())
        about = _manifest(folder, asked, listed, gathered, license)
        manifest = {**about, "sha256": folder_digests(made)}
        schema.check("pairs_manifest", manifest, MANIFEST, cause="crash")
        files.write_json(made / MANIFEST, manifest)
    return manifest


def _check(folder: Path, target: Path) -> None:
    if target.exists():
        raise ThunderError(f"{target}: is there already; name a new folder or remove this one")
    if not folder.is_dir():
        raise ThunderError(f"{folder}: no such folder", "data")
    missing = [name for name in ("soundfile", "soxr") if importlib.util.find_spec(name) is None]
    if missing:
        raise ThunderError(
            f"{' and '.join(missing)} not installed; recordings are read with it: "
            "pip install -c constraints.txt -e '.[asr]'",
            "environment",
        )


def _recordings(folder: Path, gathered: _Gathered) -> dict[str, Path]:
    """Return every recording by its path without suffix; what else lies there is named."""
    audio: dict[str, Path] = {}
    for place in sorted(digest.visible_files(folder), key=_rank):
        if not wording.is_text(place):
            raise ThunderError(f"{folder}: {place!a} is not a name in UTF-8; rename it", "data")
        stem, _, suffix = unicodedata.normalize("NFC", place).rpartition(".")
        if suffix.lower() not in recordings.SUFFIXES:
            gathered.omit(OTHER_FILE, place, "")
        elif stem in audio:
            gathered.omit(SECOND_RECORDING, place, f"{audio[stem].name} was taken")
        else:
            audio[stem] = folder / place
    return audio


def _usable(audio: Mapping[str, Path], listed: Listed, gathered: _Gathered) -> dict[str, Path]:
    """Return the recordings but for those whose transcript cannot be used, which are named."""
    for reason, entries in listed.omitted.items():
        for name, transcript in entries.items():
            gathered.omit(reason, name, transcript)
    # A transcript that is there twice is used once.
    out = {name for entries in listed.omitted.values() for name in entries} - listed.texts.keys()
    return {name: path for name, path in audio.items() if name not in out}


def _check_any(folder: Path, gathered: _Gathered) -> None:
    if not gathered.rows:
        why = [f"{name}: {what}" for name, what in gathered.omitted[UNREADABLE].items()]
        json_lines.refuse(f"{folder}: none of its recordings could be used", why)


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
    gathered: _Gathered,
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
    files = " and ".join(str(file) for _, file in asked)
    left_out = [f"{len(texts)} for {reason}" for reason, texts in listed.omitted.items() if texts]
    if left_out and not listed.texts:
        return (
            f"{files}: no transcript can be used; left out {', '.join(left_out)}. They must be "
            f"letters of script {' and '.join(letters.form.name for letters, _ in asked)}, "
            f"numbers written as words{listing.outside(asked, listed.omitted)}; "
            "another script, or the letters that the texts have: --script nko, --script from_data"
        )
    return (
        f"{files}: no transcript is of a recording in {folder}; "
        f"transcripts name {_some(listed.texts)}, recordings are {_some(audio)}"
    )


def _some(names: Mapping[str, Any]) -> str:
    shown = [repr(name) for name in sorted(names)[:3]]
    return ", ".join(shown) + (" …" if len(names) > 3 else "") if shown else "nothing"


def _add(
    name: str, source: Path, texts: Mapping[str, str], made: Path, gathered: _Gathered
) -> None:
    """Copy a recording and keep its row, if it can be read."""
    from thunder.lanes.asr.features import audio  # soundfile and soxr, which planning must not load

    try:
        seconds = audio.read(source, LONGEST_SECONDS).duration_s
    except audio.Unreadable as error:
        gathered.omit(UNREADABLE, name, str(error))
        return
    feat_id = name.replace("/", JOINT)
    if fault := pair.id_fault(feat_id):
        raise ThunderError(f"{source}: the id of the recording {fault}; rename it", "data")
    (made / recordings.FOLDER).mkdir(exist_ok=True)
    target = made / recordings.FOLDER / f"{feat_id}{source.suffix.lower()}"
    if target.exists():
        raise ThunderError(f"{source}: its id {feat_id!r} is that of another recording", "data")
    shutil.copyfile(source, target)
    row = {
        "feat_id": feat_id,
        **texts,
        "duration_s": round(seconds, 4),
        "origin": os.path.dirname(name) or ".",
    }
    schema.check("pairs_row", row, PAIRS, cause="crash")
    gathered.rows[name] = row


def _manifest(
    folder: Path,
    asked: Sequence[Asked],
    listed: Listed,
    gathered: _Gathered,
    license: str | None,
) -> dict[str, Any]:
    changed = {name: written for name, written in listed.changed.items() if name in gathered.rows}
    return {
        "name": f"{folder.name}-{asked[0][1].name.partition('.')[0]}",
        "created_by": "thunder",
        "builder": "import_speech",
        "builder_sha256": digest.of_value({"revisions": [REVISION, transcripts.REVISION]}),
        "stand_in": False,
        "seed": None,
        "inputs": [
            {"path": file.name, "sha256": digest.of_file(file), "rows": count}
            for (_, file), count in zip(asked, listed.counts, strict=True)
        ],
        "license": license or transcripts.debian_license(asked[0][1]),
        "bridge_version": None,
        "normaliser_version": spelling.NORMALISER_VERSION,
        "counts": {
            "rows": len(gathered.rows),
            "omitted": {reason: len(names) for reason, names in gathered.omitted.items()},
            "changed": len(changed),
        },
        "seconds": round(sum(row["duration_s"] for row in gathered.rows.values()), 3),
        "omitted": gathered.omitted,
        "changed": changed,
    }
