"""Options composed by Hydra, once per choice of them.

Hydra composes groups and parses overrides. Values are set afterwards, so that one composition
serves every cell of a matrix that makes the same choices, and so that a misspelt key meets our
schema and not Hydra's advice.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thunder.config import hydra_files, mistakes, origin, template
from thunder.config.plain import MISSING
from thunder.config.sources import Sources
from thunder.config.template import Template
from thunder.ground.command import quoted
from thunder.ground.errors import ThunderError


def compose(choices: Mapping[str, str], places: Sources) -> Template:
    """Compose the chosen options with Hydra, once.

    Raises:
        ThunderError: a file cannot be read, or a choice does not exist.
    """
    from omegaconf import OmegaConf

    here = places.this_machine
    with _hydra(places) as (hydra, overrides):
        words = [*_choice_words(choices, here), *overrides]
        merged_files = _listen()
        config = _composed(hydra, words, choices, places)
    layers = places.layers[tuple(choices.items())] = _layers(merged_files, places)
    _refuse_stray_sites(layers)
    raw: dict[str, Any] = _texts_as_keys(OmegaConf.to_container(config, resolve=False))
    if isinstance(raw.get("runtime"), dict):
        merged = _merged(raw["runtime"], here.get("runtime", {}))
        raw["runtime"] = {**merged, "profile": choices.get("profile")}
    raw = template.put_all(raw, _left_open(layers))
    _refuse_references(raw, choices, places)
    try:
        return template.of_raw(raw)
    except template.Unresolved as error:
        raise ThunderError(_placed(error.key, str(error), choices, places)) from error


def origins_list(choices: Mapping[str, str], places: Sources) -> list[tuple[Path, str]]:
    """Return the files that made a config, in the order they were merged, each with its package."""
    key = tuple(choices.items())
    if key not in places.layers:
        words = _choice_words(choices, places.this_machine)
        with _hydra(places) as (_, overrides):
            places.layers[key] = _layers(_defaults([*words, *overrides]), places)
    return places.layers[key]


def _listen() -> list[Any]:
    """Return the list that Hydra's next composition fills with what it merges.

    To compute it apart, as Hydra offers, takes half as long again as to compose.
    """
    from hydra.core.global_hydra import GlobalHydra

    merged: list[Any] = []
    loader = GlobalHydra.instance().config_loader()
    merge = loader._compose_config_from_defaults_list

    def listening(defaults: list[Any], **others: Any) -> Any:
        merged.extend(defaults)
        return merge(defaults=defaults, **others)

    loader._compose_config_from_defaults_list = listening
    return merged


def _defaults(words: list[str]) -> list[Any]:
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    loader = GlobalHydra.instance().config_loader()
    return list(loader.compute_defaults_list("config", words, RunMode.RUN).defaults)


def _layers(merged: list[Any], places: Sources) -> list[tuple[Path, str]]:
    rows = [(item.config_path, item.package or "") for item in merged]
    # Hydra's own settings are options of its group `hydra`.
    ours = [(path, package) for path, package in rows if path and not path.startswith("hydra/")]
    local = places.local_file()
    layers = [(places.find(path), package) for path, package in ours]
    return [*layers, (local, "")] if local else layers


def _refuse_stray_sites(layers: list[tuple[Path, str]]) -> None:
    for path, package in layers:
        if package == path.parent.name == "site":  # where Hydra puts it unless the file says where
            raise ThunderError(
                f"{origin.shown(path)}: its first line must be '# @package runtime.site'"
            )


def _left_open(layers: list[tuple[Path, str]]) -> dict[tuple[str, ...], str]:
    """Return the keys whose last layer says `???`: OmegaConf lets what lies under it show."""
    if not any(MISSING.encode() in path.read_bytes() for path, _ in layers):
        return {}
    values = origin.scalars(layers)
    return {tuple(map(str, key)): MISSING for key, value in values.items() if value == MISSING}


def _choice_words(choices: Mapping[str, str], here: Mapping[str, Any]) -> list[str]:
    merged = {"site": here["site"], **choices} if "site" in here else choices
    # Without a profile nothing has chosen an option before: each is added, as a profile is.
    added = {"profile"} if "profile" in choices else {*choices} - {"site"}
    return [f"{'+' if k in added else ''}{k}={quoted(v)}" for k, v in merged.items()]


def _merged(under: Any, over: Any) -> Any:
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    return {**under, **{key: _merged(under.get(key), value) for key, value in over.items()}}


def _texts_as_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _texts_as_keys(item) for key, item in value.items()}
    return [_texts_as_keys(item) for item in value] if isinstance(value, list) else value


def _refuse_references(raw: Any, choices: Mapping[str, str], places: Sources) -> None:
    """A site may read the environment to say where things are; a job that did would be another."""
    for path, text in template.references_in(raw):
        if path[0] != "runtime" and not template.may_be_read(text):
            message = (
                f"{text!r} is not allowed; only ${{KEY}} can be read here, "
                "and of runtime only ${runtime.site.KEY}"
            )
            raise ThunderError(_placed(".".join(path), message, choices, places))


def _placed(key: str, message: str, choices: Mapping[str, str], places: Sources) -> str:
    origins = origin.of_files(origins_list(choices, places))
    place = origin.find(origins, tuple(key.split(".")))
    return f"{place + ': ' if place else ''}{key}: {message}"


class _hydra:
    """Hydra's global state, entered and left."""

    def __init__(self, places: Sources) -> None:
        self.places = places

    def __enter__(self) -> tuple[Any, list[str]]:
        import hydra
        from hydra.core.global_hydra import GlobalHydra

        GlobalHydra.instance().clear()
        hydra_files.register()
        primary = next((r for r in self.places.conf if (r / "config.yaml").is_file()), None)
        if primary is None:
            raise ThunderError(f"{self.places.conf[0]}: no config.yaml in it")
        hydra.initialize_config_dir(str(primary), version_base=None, job_name="thunder")
        others = [quoted(f"file://{root}") for root in self.places.conf if root != primary]
        return hydra, [f"hydra.searchpath=[{','.join(others)}]"] if others else []

    def __exit__(self, *_: object) -> None:
        from hydra.core.global_hydra import GlobalHydra

        GlobalHydra.instance().clear()


def _composed(hydra: Any, overrides: list[str], choices: Mapping[str, str], places: Sources) -> Any:
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException

    try:
        return hydra.compose("config", overrides=overrides)
    except MissingConfigException as error:
        group, _, option = str(error.missing_cfg_file or "").rpartition("/")
        place = mistakes.chosen_at(group, option, choices, places)
        raise ThunderError(place + mistakes.no_option(group, option, places)) from error
    except RecursionError as error:
        raise ThunderError(
            f"{mistakes.profile_place(choices, places)}it includes itself"
        ) from error
    except (HydraException, OmegaConfBaseException, ValueError, TypeError) as error:
        raise ThunderError(mistakes.hydra_fault(error, choices, places)) from error
