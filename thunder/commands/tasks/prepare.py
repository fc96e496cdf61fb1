"""Tasks that prepare: what a machine has, whether every config is right, corpora."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from thunder.commands import cli, selection
from thunder.commands.selection import outputs_dir, places_dir
from thunder.config import sources
from thunder.config.plain import missing_values
from thunder.ground import command, files, wording
from thunder.ground.errors import Faults, ThunderError
from thunder.ground.places import shown
from thunder.ground.schema_faults import Fault
from thunder.jobs import kinds

_OF_SCRIPT = ("script", "alphabet")  # the sections that an option of conf/script/ sets
_PATHS = [(section,) for section in _OF_SCRIPT]
_NAMES = [("script",), ("alphabet", "name")]


@cli.task(hosts="ask the hosts of all sites, as `thunder hosts` does")
def doctor(
    hosts: bool = False, outputs: str | None = None, config_dir: str = "", json: bool = False
) -> int | None:
    """Say what is installed, which BLAS and backend there are, and what each site has."""
    from thunder.commands import doctor as doctors

    folder = outputs_dir(outputs, config_dir)
    report = doctors.examine(places_dir(config_dir), folder, asks_hosts=hosts)
    print(files.render_json(report) if json else doctors.render(report), end="")
    return None


@cli.task()
def check(config_dir: str = "", outputs: str | None = None) -> int | None:
    """Compose and check every profile and matrix, and run nothing."""
    read = sources.sources(places_dir(config_dir))
    folder = outputs_dir(outputs, config_dir)
    matrices = sorted({path.stem for root in read.matrices for path in root.glob("*.yaml")})
    bad = 0
    for name in dict.fromkeys([*read.groups.get("profile", []), *matrices]):
        try:
            cells = len(selection.request(name, [], folder, config_dir).cells)
            print(f"ok    {name} ({cells} cell{'s' * (cells != 1)})")
        except ThunderError as error:
            bad += 1
            print(f"FAIL  {name}\n{error}")
    return 1 if bad else None


@cli.task(
    "action", "target", "transcripts", "into", action="build or import-speech",
    target="build: the folder to make; import-speech: RECORDINGS, the folder that has them",
    transcripts="import-speech: `name: text` lines, or Kaldi, LJSpeech, CSV, TSV, trn, JSONL; of "
                "several scripts one each, with commas between",
    format="import-speech: of the transcripts, when their files' names do not tell; with commas",
    channel="import-speech: what is heard of several channels: mix, left, right or first",
    most_left_out="the share of what is brought that may be left out (default: 0.5)",
    into="import-speech: FOLDER, the one to make (default: speech-NAME, here)",
    source="build: a JSON Lines file of sentences; the built-in generator by default",
    column="build: the column of the file that has the text (default: text); import-speech: the "
           "columns to make, with commas between (default: the names of the scripts)",
    id_column="build: the column that names a row",
    script="build: nko (default), nko_bridged or latin; import-speech: options of conf/script/, "
           "with commas between (default: latin)",
    seed="build: seed of the perturbations", rows="build: rows to generate",
    license="the licence of the text, for the manifest",
)  # fmt: skip
def corpus(
    action: str, target: str, transcripts: str = "", into: str = "",
    source: str = "", column: str = "", id_column: str = "", script: str = "",
    seed: int = 0, rows: int = 640, license: str = "", format: str = "", channel: str = "",
    most_left_out: str = "", set: Sequence[str] | None = None, config_dir: str = "",
) -> int | None:  # fmt: skip
    """Make a data set: `corpus build FOLDER`, `import-speech RECORDINGS TRANSCRIPTS FOLDER`."""
    imports = kinds.imports()
    if action in imports:
        make = kinds.loaded(imports[action])
        kind = next(name for name, kind in kinds.KINDS.items() if action in kind.imports)
        options = _options(kind, (script or "latin").split(","), column, set or (), config_dir)
        said = {"license": license, "format": format, "channel": channel,
                "most_left_out": most_left_out}  # fmt: skip
        composed = partial(_composed, config_dir=config_dir)
        for line in make(Path(target), transcripts, into, options, said, composed):
            print(line)
        return None
    if action != "build":
        known = ", ".join(["build", *imports])
        raise ThunderError(f"corpus {action!r}: not an action; actions: {known}")
    from thunder.corpora import build
    from thunder.corpora import corpus as corpora

    folder = Path(target)
    if source:
        manifest = build.build_from_file(
            Path(source), column or "text", folder, script=script or "nko", seed=seed,
            id_column=id_column or None, license=license or None,
            most_left_out=corpora.share(most_left_out),
        )  # fmt: skip
    else:
        corpora.check_target(folder)
        recipe = {"recipe": "sentences", "rows": rows, "seed": seed, "script": script or "nko"}
        manifest = build.build_recipe(recipe, folder)
    _print_counts(folder, manifest["counts"])
    print(corpora.use_text(["+profile=smoke", "data=folder"], folder))
    return None


def _print_counts(folder: Path, counts: Mapping[str, Any]) -> None:
    splits = ", ".join(f"{counts[split]} {split}" for split in ("train", "valid", "test"))
    print(f"{os.path.abspath(folder)}: {splits} rows")
    for reason, count in counts["dropped"].items():
        if count:
            print(f"  dropped {count}: {reason}")


def _options(
    kind: str, names: Sequence[str], column: str, words: Sequence[str], config_dir: str
) -> list[dict[str, Any]]:
    """Return options of conf/script/, composed, each with the words that choose it again."""
    columns = column.split(",") if column else [""] * len(names)
    if len(columns) != len(names):
        raise ThunderError(
            f"--column {column}: {wording.count(len(columns), 'column')} for "
            f"{wording.count(len(names), 'script')}; each script needs one"
        )
    return [
        _option(
            kind,
            [f"script={name}", *([f"alphabet.name={command.spelt(to)}"] if to else []), *words],
            config_dir,
        )
        for name, to in zip(names, columns, strict=True)
    ]


def _option(kind: str, words: Sequence[str], config_dir: str) -> dict[str, Any]:
    config = _composed(words, config_dir)
    option = {key: config[key] for key in _OF_SCRIPT if key in config}
    if absent := list(missing_values(option)):
        raise ThunderError(f"{words[0]}: {absent[0]} needs a value: --set {absent[0]}=VALUE")
    _check_option(kind, config, words, config_dir)
    flags = sources.sources(places_dir(config_dir)).flags
    return {**option, "words": words, "flags": flags}


def _check_option(
    kind: str, config: Mapping[str, Any], words: Sequence[str], config_dir: str
) -> None:
    """Raise Faults where an option of conf/script/ does not say what a job of the kind needs."""
    from thunder.config import overrides
    from thunder.ground import schema
    from thunder.jobs import cell_origins

    places = sources.sources(places_dir(config_dir))
    faults = [f for f in schema.faults(kind, config, places.schemas) if f.path[:1] in _PATHS]
    # Which texts can name a column is for the import to say.
    faults = [f for f in faults if not (f.path in _NAMES and _is_text(config, f.path))]
    told = [fault.path for fault in faults]
    faults += [Fault(p, "missing") for p in _PATHS if p[0] not in config and p not in told]
    if faults:
        parsed = overrides.parse(words, places)
        path = shown(places.find(f"script/{parsed.choices['script']}"))
        lines = cell_origins.told(faults, config, parsed, places)
        raise Faults(f"{words[0]}: {path} describes no script:", lines)


def _is_text(config: Mapping[str, Any], path: tuple[str | int, ...]) -> bool:
    with suppress(KeyError):  # it is missing
        return isinstance(wording.at(config, path), str)
    return False


def _composed(words: Sequence[str], config_dir: str) -> dict[str, Any]:
    from thunder.config import compose, overrides

    places = sources.sources(places_dir(config_dir))
    parsed = overrides.parse(words, places)
    return compose.compose(parsed.choices, places).fill(parsed.values)
