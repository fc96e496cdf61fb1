"""`thunder corpus import-speech`: recordings of a person's own become a data folder."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.corpora import corpus
from thunder.ground import files, wording
from thunder.ground.errors import ThunderError
from thunder.ground.input_files import MANIFEST
from thunder.lanes.asr import scripts
from thunder.lanes.asr.data import imported, letters, listing, prompts, shortage
from thunder.lanes.asr.data.imported import Wishes
from thunder.lanes.asr.data.listing import Asked
from thunder.lanes.asr.features import channels
from thunder.lanes.asr.speech.spoken import PAIRS

DEFAULT = "latin"
_NAME = "[a-z][a-z0-9_]*"


def made(
    folder: Path,
    transcripts: str,
    into: str,
    options: Sequence[Mapping[str, Any]],
    said: Mapping[str, str],
    composed: Callable[[Sequence[str]], Mapping[str, Any]],
) -> Iterator[str]:
    """Make a data folder of recordings and transcripts; yield what was made and what left out.

    Args:
        transcripts: a file of texts; of several scripts, one for each, with commas between.
        options: of conf/script/, composed, in the same order.
        said: license, format, channel, most_left_out; empty where a person said nothing.
        composed: gives the config that words choose.
    """
    if not transcripts:
        raise ThunderError(
            "corpus import-speech needs RECORDINGS, a folder, and TRANSCRIPTS, a file of texts"
        )
    target = Path(into or f"speech-{folder.name}")
    asked, wishes = _asked(transcripts, options, said["format"]), _wishes(said)
    commands = [_words(option, options, wishes) for option in options]
    configs = [composed(words) for words in commands]
    manifest = prompts.import_speech(folder, asked, target, wishes)
    yield f"{os.path.abspath(target)}: {wording.count(manifest['counts']['rows'], 'row')}"
    yield from (f"  {line}" for line in _noted(manifest, asked, target))
    usable = []
    for option, words, config in zip(options, commands, configs, strict=True):
        lack = shortage.of(list(files.read_jsonl(target / PAIRS)), config)
        yield from (f"  {config['script']}: {line}" for line in lack.lines)
        if not lack.is_too_little:
            usable.append(config)
            yield corpus.use_text([*words, *option["flags"]], target)
    yield from _stand_in_lines(usable[:1])


def _noted(manifest: Mapping[str, Any], asked: Sequence[Asked], target: Path) -> Iterator[str]:
    """Yield what was left out, and what was kept with a note."""
    omitted = manifest["omitted"]
    yield from imported.left_out_lines(omitted, "left out ")
    if omitted:
        yield f"all that was left out, and why: {os.path.abspath(target / MANIFEST)}"
    if foreign := listing.strangers(asked, omitted):
        yield (
            f"not letters of the script: {letters.shown(foreign)}; to take those that the texts "
            "have: --script from_data --column NAME"
        )
    yield from imported.left_out_lines(manifest.get("noticed", {}), "kept, with a note, ")


def _stand_in_lines(configs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield how a real model is trained, where the one that the site names is none."""
    for config in configs:
        site, size = config["runtime"]["site"], config["model"]["size"]
        if size["learning_rate_factor"] != 1:
            name = site["name"]
            yield f"  site={name} trains a small stand-in model; a real one: model=ctc_large"


def _wishes(said: Mapping[str, str]) -> Wishes:
    channel = said["channel"] or channels.MIX
    if channel not in channels.RULES:
        raise ThunderError(
            f"--channel {channel}: not a channel; there is {', '.join(channels.RULES)}"
        )
    return Wishes(
        channel=channel,
        most_left_out=corpus.share(said["most_left_out"]),
        license=said["license"] or None,
    )


def _asked(transcripts: str, options: Sequence[Mapping[str, Any]], format: str) -> list[Asked]:
    lists = [transcripts] if len(options) == 1 else transcripts.split(",")
    names = [option["script"] for option in options]
    if odd := [n for n in names if n in scripts.RESERVED or not re.fullmatch(_NAME, n)]:
        raise ThunderError(
            f"corpus import-speech: {odd[0]!r} cannot name a column of text: lower case letters, "
            f"digits and _, and none of {', '.join(scripts.RESERVED)}"
        )
    if len(lists) != len(options) or len({*names}) != len(names):
        raise ThunderError(
            f"corpus import-speech: {wording.count(len(lists), 'file')} of transcripts for the "
            f"scripts {', '.join(names)}: each needs a file and a name of its own, in the same "
            "order, with commas and no space between: A.tsv,B.tsv --column A,B"
        )
    return [
        Asked(Path(file), _letters(option), chosen or None)
        for file, option, chosen in zip(lists, options, _formats(format, len(lists)), strict=True)
    ]


def _letters(option: Mapping[str, Any]) -> letters.Letters:
    return letters.of(scripts.settled({**option, "runtime": {"paths": {}}}))


def _formats(format: str, count: int) -> list[str]:
    """Return the format of each file: one that is said is that of all."""
    formats = format.split(",")
    if len(formats) not in (1, count):
        raise ThunderError(
            f"--format {format}: {wording.count(len(formats), 'format')} for "
            f"{wording.count(count, 'file')}; say one for all, or one for each"
        )
    return formats if len(formats) == count else formats * count


def _words(
    option: Mapping[str, Any], options: Sequence[Mapping[str, Any]], wishes: Wishes
) -> list[str]:
    """Return the words that train on one of the scripts that were imported."""
    names = [each["script"] for each in options]
    columns = ",".join(f"{name}:{name}" for name in names)
    chosen = "data.columns.nko=null" if names == [DEFAULT] else f"data.columns={{{columns}}}"
    heard = [] if wishes.channel == channels.MIX else [f"features.channel={wishes.channel}"]
    return ["+profile=asr_ctc", "data=speech_folder", *option["words"], chosen, *heard]
