"""The script that a job recognises: its letters, its spelling, and how it is shown."""

from collections.abc import Iterator, Mapping
from typing import Any

from thunder.ground.kind import Config, Fault

SECTION = "alphabet"
SHOWN = ("title", "direction", "font", "language")  # none of it can change a result
FROM_DATA = "from_data"
# Two scripts are known by name alone, as conf/script/ spells them out: a config that says no more
# of them than this is named as it was when there were no others.
BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "nko": {
        "source": {"letters": "nko"}, "normaliser": "nko",
        "title": "N'Ko", "direction": "rtl", "font": "Noto Sans NKo", "language": "nqo",
    },
    "latin": {
        "source": {"letters": "latin_bambara"}, "normaliser": "latin",
        "title": "Latin", "direction": "ltr", "font": None, "language": "bm",
    },
}  # fmt: skip
# What the rows of a pairs file have besides texts.
RESERVED = ("feat_id", "audio", "duration_s", "duration", "origin", "cluster", "group", "line")


def settled(config: Config) -> Config:
    """Return a config as its id knows it: a built-in script by its name, how it is shown apart."""
    if SECTION not in config:
        return config
    alphabet = config[SECTION]
    if _is_by_name(config):
        return {key: value for key, value in config.items() if key != SECTION}
    own = {key: value for key, value in alphabet.items() if key not in SHOWN}
    shown = {key: alphabet[key] for key in SHOWN}
    known = {"name": config["script"], **BUILT_IN.get(config["script"], {})}
    rest = {key: value for key, value in config.items() if key != SECTION}
    if own != {key: known.get(key) for key in own}:
        rest[SECTION] = own
    if shown != {key: known.get(key) for key in SHOWN}:
        rest["runtime"] = {**config["runtime"], "shown": shown}
    return rest


def letters_of(config: Config) -> Mapping[str, Any]:
    """Return where the letters of a settled config come from: the source of its alphabet."""
    section = config.get(SECTION) or BUILT_IN[config["script"]]
    return dict(section["source"])


def normaliser(config: Config) -> str | None:
    """Return the normaliser of a settled config; None: the script's own, which its name says."""
    return str(config[SECTION]["normaliser"]) if SECTION in config else None


def said(config: Config) -> dict[str, str]:
    """Return what a row of a dump says of its script, for whoever scores it by itself."""
    own = normaliser(config)
    return {"script": config["script"], **({"normaliser": own} if own else {})}


def shown(config: Config) -> Mapping[str, Any]:
    """Return the title, direction, font and language of the script of a settled config."""
    own = config["runtime"].get("shown") or BUILT_IN[config["script"]]
    return {**own, "title": own["title"] or config["script"]}


def faults(config: Config) -> Iterator[Fault]:
    """Yield what is wrong with the script of a config, and with its column."""
    script, columns = config["script"], config["data"]["columns"]
    for name in columns:
        if name in RESERVED:
            yield ("data", "columns", name), "a row has this besides its texts: name a script"
    if SECTION in config and config[SECTION]["name"] != script and not _is_by_name(config):
        yield (
            (SECTION, "name"),
            (
                f"{config[SECTION]['name']!r}, but the script is {script!r}: an option of "
                "conf/script/ says both, script=OPTION"
            ),
        )
    if SECTION not in config and script not in BUILT_IN:
        yield (
            ("script",),
            (
                f"{script!r} has no alphabet; known by name are {', '.join(BUILT_IN)}; any other "
                "is an option of conf/script/, as from_data is: script=OPTION, "
                "or `- /script: OPTION` in the defaults"
            ),
        )
    yield from _of_column(config)


def _is_by_name(config: Config) -> bool:
    """Say whether a config names a built-in script and describes none that is not built in.

    A profile that says `script: latin` itself, over one that chose N'Ko, means what it always did.
    """
    alphabet = config[SECTION]
    own = BUILT_IN.get(alphabet["name"])
    return config["script"] in BUILT_IN and own is not None and alphabet == {
        "name": alphabet["name"], **own,
    }  # fmt: skip


def _of_column(config: Config) -> Iterator[Fault]:
    columns, script = config["data"]["columns"], config["script"]
    is_bridged = script == "nko" and config["text"]["bridge"] != "none"
    read = "latin" if is_bridged else script
    if columns.get(read) is None:
        way = "; or text.bridge=v2_standard, which makes N'Ko of Latin" if read == "nko" else ""
        there = ", ".join(f"{name}: {of}" for name, of in columns.items() if of is not None)
        word = "null" if read in columns else f"none for {read} (there is {there or 'none'})"
        yield ("data", "columns", read), f"{word}, but script {script} needs a column of it{way}"
