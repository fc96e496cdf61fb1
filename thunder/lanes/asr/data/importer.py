"""`thunder corpus import-speech`: recordings of a person's own become a data folder."""

from collections.abc import Iterator
from pathlib import Path

from thunder.corpora import corpus
from thunder.ground import wording
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.data import prompts

_SHOWN_NAMES = 5
_USE = ("+profile=asr_ctc", "data=speech_folder", "data.columns.nko=null", "script=latin")


def made(folder: Path, transcripts: str, into: str, licence: str | None) -> Iterator[str]:
    """Make a data folder of recordings and transcripts; yield what was made and what left out."""
    if not transcripts:
        raise ThunderError("corpus import-speech needs FOLDER and TRANSCRIPTS, a file of texts")
    target = Path(into or f"speech-{folder.name}")
    corpus.refuse_existing(target)
    manifest = prompts.import_speech(folder, Path(transcripts), target, licence)
    yield f"{target.absolute()}: {wording.count(manifest['counts']['rows'], 'row')}"
    for reason, entries in manifest["omitted"].items():
        names = list(entries)
        shown = ", ".join(names[:_SHOWN_NAMES]) + (" …" if len(names) > _SHOWN_NAMES else "")
        yield f"  left out {len(names)}: {reason}: {shown}"
    yield corpus.use_text(_USE, target)
