"""`thunder corpus import-speech`: recordings of a person's own become a data folder."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.corpora import corpus
from thunder.ground import wording
from thunder.ground.errors import ThunderError
from thunder.lanes.asr import scripts
from thunder.lanes.asr.data import letters, listing, prompts
from thunder.lanes.asr.data.letters import Letters

GROUP = "script"  # of conf/: whose options the transcripts may be in
DEFAULT = "latin"
_NAME = "[a-z][a-z0-9_]*"
_SHOWN_NAMES = 5


def made(
    folder: Path,
    transcripts: str,
    into: str,
    licence: str | None,
    options: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    """Make a data folder of recordings and transcripts; yield what was made and what left out.

    Args:
        transcripts: a file of texts; of several scripts, one for each, with commas between.
        options: of conf/script/, composed, in the same order.
    """
    if not transcripts:
        raise ThunderError("corpus import-speech needs FOLDER and TRANSCRIPTS, a file of texts")
    target = Path(into or f"speech-{folder.name}")
    corpus.refuse_existing(target)
    asked = _asked(transcripts, options)
    (first, file), *others = asked
    manifest = prompts.import_speech(folder, file, target, licence, letters=first, others=others)
    yield f"{target.absolute()}: {wording.count(manifest['counts']['rows'], 'row')}"
    for reason, entries in manifest["omitted"].items():
        names = list(entries)
        shown = ", ".join(names[:_SHOWN_NAMES]) + (" …" if len(names) > _SHOWN_NAMES else "")
        yield f"  left out {len(names)}: {reason}: {shown}"
    if foreign := listing.strangers(asked, manifest["omitted"]):
        yield (
            f"  not letters of the script: {letters.shown(foreign)}; to take those that the texts "
            "have: --script from_data --column NAME"
        )
    for option in options:
        yield corpus.use_text(_words(option, options), target)


def _asked(transcripts: str, options: Sequence[Mapping[str, Any]]) -> list[tuple[Letters, Path]]:
    files = [transcripts] if len(options) == 1 else transcripts.split(",")
    names = [option["script"] for option in options]
    if odd := [n for n in names if n in scripts.RESERVED or not re.fullmatch(_NAME, n)]:
        raise ThunderError(
            f"corpus import-speech: {odd[0]!r} cannot name a column of text: lower case letters, "
            f"digits and _, and none of {', '.join(scripts.RESERVED)}"
        )
    if len(files) != len(options) or len({*names}) != len(names):
        raise ThunderError(
            f"corpus import-speech: {wording.count(len(files), 'file')} of transcripts for the "
            f"scripts {', '.join(names)}: each needs a file and a name of its own, in the same "
            "order, with commas and no space between: A.tsv,B.tsv --column A,B"
        )
    known = [
        letters.of(scripts.settled({**option, "runtime": {"paths": {}}})) for option in options
    ]
    return list(zip(known, map(Path, files), strict=True))


def _words(option: Mapping[str, Any], options: Sequence[Mapping[str, Any]]) -> str:
    """Return the words that train on one of the scripts that were imported."""
    names = [each["script"] for each in options]
    words = f"+profile=asr_ctc data=speech_folder {option['words']}"
    if names == [DEFAULT]:
        return f"{words} data.columns.nko=null"
    columns = ",".join(f"{name}:{name}" for name in names)
    return f"{words} 'data.columns={{{columns}}}'"
