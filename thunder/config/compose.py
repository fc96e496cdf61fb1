"""Hydra in, plain data out; the only importer of hydra and omegaconf.

Hydra composes groups and parses overrides. Values are set afterwards, so that one composition
serves every cell of a matrix that makes the same choices, and so that a misspelt key meets our
schema and not Hydra's advice.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thunder.config import mistakes, origin
from thunder.config.sources import Sources as Sources
from thunder.config.sources import sources as sources
from thunder.ground.errors import ThunderError

_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*(?:\.\w+)*)\}")
# A reference without a resolver or another reference inside, in any of OmegaConf's spellings.
_ONE_KEY = re.compile(r"\$\{\s*\.*(\w+|\[\w+\])(?:\.\w+|\[\w+\])*\s*\}")
MISSING = "???"  # Hydra's word for a value that must be given


def quoted(text: str) -> str:
    """Return a text in quotes, as Hydra's grammar reads it back: only quotes are escaped."""
    doubled = re.sub(r'(\\+)(?="|\Z)', r"\1\1", text)
    return '"' + doubled.replace('"', '\\"') + '"'


@dataclass(frozen=True)
class Template:
    """A composed config whose values can still be set, any number of times."""

    raw: dict[str, Any]  # interpolations unresolved
    resolved: dict[str, Any]
    references: tuple[tuple[str, ...], ...]  # keys that some interpolation reads
    sections: dict[str, Any] = field(default_factory=dict)  # filled ones, by what was set

    def fill(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return a config with values set; sections are shared between configs: never edit it."""
        paths = {tuple(key.split(".")): value for key, value in values.items()}
        if not any(_overlap(path, read) for path in paths for read in self.references):
            return self._fill_sections(paths)
        early = {p: v for p, v in paths.items() if not self._behind_reference(p)}
        late = {p: v for p, v in paths.items() if p not in early}
        return _put_all(_resolve(_put_all(self.raw, early)), late)

    def _fill_sections(self, paths: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
        """Set values in the resolved config; cells that set a section alike share one object."""
        by_section: dict[str, dict[tuple[str, ...], Any]] = {}
        for path, value in paths.items():
            by_section.setdefault(path[0], {})[path] = value
        filled = dict(self.resolved)
        for name, inner in by_section.items():
            key = repr(inner)
            if key not in self.sections:
                self.sections[key] = _put_all(self.resolved, inner)[name]
            filled[name] = self.sections[key]
        return filled

    def _behind_reference(self, path: tuple[str, ...]) -> bool:
        node: Any = self.raw
        for part in path[:-1]:
            node = node.get(part) if isinstance(node, dict) else None
            if isinstance(node, str) and "${" in node:
                return True
        return False


def compose(choices: Mapping[str, str], places: Sources) -> Template:
    """Compose the chosen options with Hydra, once.

    Raises:
        ThunderError: a file cannot be read, or a choice does not exist.
    """
    from omegaconf import OmegaConf

    here = _this_machine(places)
    with _hydra(places) as (hydra, overrides):
        words = [*_choice_words(choices, here), *overrides]
        config = _composed(hydra, words, choices, places)
        layers = places.layers[tuple(choices.items())] = _layers(words, places)
    raw: dict[str, Any] = _texts_as_keys(OmegaConf.to_container(config, resolve=False))
    if isinstance(raw.get("runtime"), dict):
        merged = _merged(raw["runtime"], here.get("runtime", {}))
        raw["runtime"] = {**merged, "profile": choices.get("profile")}
    raw = _put_all(raw, _asked_for(layers))
    _refuse_references(raw, choices, places)
    try:
        return Template(raw, _resolve(raw), tuple(_references(raw)))
    except _Unresolved as error:
        raise ThunderError(_placed(error.key, str(error), choices, places)) from error


def origins_list(choices: Mapping[str, str], places: Sources) -> list[tuple[Path, str]]:
    """Return the files that made a config, in the order they were merged, each with its package."""
    key = tuple(choices.items())
    if key not in places.layers:
        words = _choice_words(choices, _this_machine(places))
        with _hydra(places) as (_, overrides):
            places.layers[key] = _layers([*words, *overrides], places)
    return places.layers[key]


def _layers(words: list[str], places: Sources) -> list[tuple[Path, str]]:
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    loader = GlobalHydra.instance().config_loader()
    found = loader.compute_defaults_list("config", words, RunMode.RUN)
    rows = [(item.config_path, item.package or "") for item in found.defaults]
    # Hydra's own settings are options of its group `hydra`.
    ours = [(path, package) for path, package in rows if path and not path.startswith("hydra/")]
    local = places.local_file()
    layers = [(places.find(path), package) for path, package in ours]
    return [*layers, (local, "")] if local else layers


def _asked_for(layers: list[tuple[Path, str]]) -> dict[tuple[str, ...], str]:
    """Return the keys whose last layer says `???`: OmegaConf lets what lies under it show."""
    if not any(MISSING.encode() in path.read_bytes() for path, _ in layers):
        return {}
    values = origin.scalars(layers)
    return {tuple(map(str, key)): MISSING for key, value in values.items() if value == MISSING}


def _choice_words(choices: Mapping[str, str], here: Mapping[str, Any]) -> list[str]:
    merged = {"site": here["site"], **choices} if "site" in here else choices
    return [f"{'+' if k == 'profile' else ''}{k}={quoted(v)}" for k, v in merged.items()]


def _this_machine(places: Sources) -> dict[str, Any]:
    """Read conf/local.yaml: what this machine's owner set, which may not change a result."""
    path = places.local_file()
    if path is None:
        return {}
    found = read_yaml(path)
    if unknown := sorted(set(found) - {"site", "runtime"}):
        raise ThunderError(
            f"{origin.shown(path)}: {', '.join(map(repr, unknown))} cannot be set here; "
            "only site and runtime can"
        )
    if not isinstance(found.get("site", ""), str):
        raise ThunderError(f"{origin.shown(path)}: site: {found['site']!r} is not a site's name")
    if not isinstance(found.get("runtime", {}), dict):
        raise ThunderError(f"{origin.shown(path)}: runtime: a mapping is needed")
    return found


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
    for path, text in _references_in(raw):
        if path[0] != "runtime" and not _may_be_read(text):
            message = (
                f"{text!r} is not allowed; only ${{KEY}} can be read here, "
                "and of runtime only ${runtime.site.KEY}"
            )
            raise ThunderError(_placed(".".join(path), message, choices, places))


def _may_be_read(text: str) -> bool:
    if "${" in _ONE_KEY.sub("", text):
        return False
    names = [re.findall(r"\w+", found[0]) for found in _ONE_KEY.finditer(text)]
    return all(key[0] != "runtime" or (key[1:2] == ["site"] and key[2:]) for key in names)


def _placed(key: str, message: str, choices: Mapping[str, str], places: Sources) -> str:
    found = origin.of_files(origins_list(choices, places))
    place = origin.find(found, tuple(key.split(".")))
    return f"{place + ': ' if place else ''}{key}: {message}"


class _hydra:
    """Hydra's global state, entered and left."""

    def __init__(self, places: Sources) -> None:
        self.places = places

    def __enter__(self) -> tuple[Any, list[str]]:
        import hydra
        from hydra.core.global_hydra import GlobalHydra

        GlobalHydra.instance().clear()
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
    import yaml
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException

    try:
        return hydra.compose("config", overrides=overrides)
    except MissingConfigException as error:
        group, _, option = str(error.missing_cfg_file or "").rpartition("/")
        place = mistakes.chosen_at(group, option, choices, places)
        raise ThunderError(place + mistakes.no_option(group, option, places)) from error
    except yaml.MarkedYAMLError as error:
        raise ThunderError(mistakes.yaml_fault(error)) from error
    except RecursionError as error:
        raise ThunderError(
            f"{mistakes.profile_place(choices, places)}it includes itself"
        ) from error
    except UnicodeDecodeError as error:
        raise ThunderError(f"{mistakes.not_text(places)}: not UTF-8: {error}") from error
    except (HydraException, OmegaConfBaseException, ValueError, TypeError) as error:
        raise ThunderError(mistakes.hydra_fault(error, choices, places)) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML file as plain data, with YAML's numbers as Hydra reads them."""
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    place = origin.shown(path)
    try:
        value = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except yaml.MarkedYAMLError as error:
        raise ThunderError(mistakes.yaml_fault(error)) from error
    except (OSError, ValueError, RecursionError, OmegaConfBaseException) as error:
        raise ThunderError(f"{place}: cannot be read: {error or type(error).__name__}") from error
    if not isinstance(value, dict):
        raise ThunderError(f"{place}: a mapping is needed, found {type(value).__name__}")
    return {str(key): plain(item) for key, item in value.items()}


class _Unresolved(ThunderError):
    """A key whose reference leads nowhere."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _resolve(raw: dict[str, Any]) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

    try:
        resolved = OmegaConf.to_container(OmegaConf.create(raw), resolve=True)
    except InterpolationKeyError as error:
        raise _Unresolved(str(error.full_key), _no_target(error, raw)) from error
    except (OmegaConfBaseException, RecursionError) as error:
        text = (str(error) or type(error).__name__).splitlines()[0]
        raise _Unresolved(str(getattr(error, "full_key", "") or "$"), text) from error
    result = plain(resolved)
    assert isinstance(result, dict)
    return result


def _no_target(error: Exception, raw: Mapping[str, Any]) -> str:
    key = re.search(r"Interpolation key '([^']+)'", str(error))
    missing = key[1] if key else str(error).splitlines()[0]
    if not missing.startswith("runtime.site."):
        return f"it reads {missing!r}, and there is no such key"
    runtime = raw.get("runtime")
    site = runtime.get("site") if isinstance(runtime, dict) else None
    name = site.get("name") if isinstance(site, dict) else None
    return (
        f"site {name!r} does not say what {missing!r} is; "
        "add it to the site, or choose another site or option"
    )


def plain(value: Any) -> Any:
    """Return plain data with whole numbers as integers: `4` and `4.0` are one value."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def missing_values(config: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys that still say `???`."""
    return [".".join(path) for path, value in leaves(config) if value == MISSING]


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every leaf of nested mappings with its path; a list is a leaf."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def _references(raw: Any) -> Iterator[tuple[str, ...]]:
    """Yield the keys that interpolations read; the empty one, which is all, for unusual forms."""
    for _, text in _references_in(raw):
        yield from (tuple(match.split(".")) for match in _REFERENCE.findall(text))
        if "${" in _REFERENCE.sub("", text):
            yield ()


def _references_in(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _references_in(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from _references_in(item, path)
    elif isinstance(value, str) and "${" in value:
        yield path, value


def _overlap(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    length = min(len(first), len(second))
    return first[:length] == second[:length]


def _put_all(config: dict[str, Any], paths: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    for path, value in paths.items():
        config = _put(config, path, value)
    return config


def _put(config: Any, path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return a config with one value set; only the mappings on the way are copied."""
    here = dict(config) if isinstance(config, dict) else {}
    head, *rest = path
    here[head] = _put(here.get(head), tuple(rest), value) if rest else value
    return here
