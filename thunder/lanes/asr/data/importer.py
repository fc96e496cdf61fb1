"""`thunder corpus import-speech`: recordings of a person's own become a data folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from thunder.corpora import corpus
from thunder.ground import wording
from thunder.ground.errors import ThunderError
from thunder.lanes.asr.data import imported, prompts
from thunder.lanes.asr.data.imported import Wishes
from thunder.lanes.asr.features import channels

_USE = ("+profile=asr_ctc", "data=speech_folder", "data.columns.nko=null", "script=latin")


def made(folder: Path, transcripts: str, into: str, said: Mapping[str, str]) -> Iterator[str]:
    """Make a data folder of recordings and transcripts; yield what was made and what left out.

    Args:
        said: license, format, channel, most_left_out; empty where a person said nothing.
    """
    if not transcripts:
        raise ThunderError("corpus import-speech needs FOLDER and TRANSCRIPTS, a file of texts")
    target = Path(into or f"speech-{folder.name}")
    corpus.refuse_existing(target)
    wishes = _wishes(said)
    manifest = prompts.import_speech(folder, Path(transcripts), target, wishes)
    yield f"{target.absolute()}: {wording.count(manifest['counts']['rows'], 'row')}"
    for line in imported.left_out_lines(manifest["omitted"]):
        yield f"  left out {line}"
    for line in imported.left_out_lines(manifest.get("noticed", {})):
        yield f"  kept, with a note, {line}"
    heard = () if wishes.channel == channels.MIX else (f"features.channel={wishes.channel}",)
    yield corpus.use_text((*_USE, *heard), target)


def _wishes(said: Mapping[str, str]) -> Wishes:
    channel = said["channel"] or channels.MIX
    if channel not in channels.RULES:
        raise ThunderError(
            f"--channel {channel}: not a channel; there is {', '.join(channels.RULES)}"
        )
    return Wishes(
        format=said["format"] or None,
        channel=channel,
        most_left_out=corpus.share(said["most_left_out"]),
        license=said["license"] or None,
    )
