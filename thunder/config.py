"""Hydra in, plain data out; the only importer of hydra and omegaconf.

Hydra composes groups and parses overrides. Values are set afterwards, so that one composition
serves every cell of a matrix that makes the same choices, and so that a misspelt key meets our
schema and not Hydra's advice.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from thunder.errors import Faults, ThunderError
from thunder.files import SHIPPED
from thunder.schema import nearest

_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
MISSING = "???"  # Hydra's word for a value that must be given


@dataclass(frozen=True)
class Sources:
    """The folders that profiles, matrices and schemas are read from; the user's own come first."""

    conf: tuple[Path, ...]
    matrices: tuple[Path, ...]
    schemas: tuple[Path, ...]

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """The choices: each folder of conf/ with the options in it."""
        found: dict[str, set[str]] = {}
        for root in self.conf:
            for path in root.glob("*/*.yaml"):
                found.setdefault(path.parent.name, set()).add(path.stem)
        return {group: sorted(options) for group, options in sorted(found.items())}

    def find(self, config_path: str) -> Path:
        """Return the file of a config, `profile/smoke` or `config`."""
        candidates = [root / f"{config_path}.yaml" for root in self.conf]
        return next((path for path in candidates if path.is_file()), candidates[-1])


def sources(config_dir: Path | None = None) -> Sources:
    """Return where to read from: the given conf/, with ours behind it if it has no config.yaml."""
    ours = SHIPPED / "conf"
    if config_dir is None or config_dir.resolve() == ours.resolve():
        roots: list[Path] = [ours]
    elif not config_dir.is_dir():
        raise ThunderError(
            f"--config-dir {config_dir}: no such folder; it should be a conf/ folder"
        )
    elif (config_dir / "config.yaml").is_file():
        roots = [config_dir.resolve()]
    else:
        roots = [config_dir.resolve(), ours]
        _refuse_shadows(roots)
    parents = [root.parent for root in roots]
    if parents[-1] != SHIPPED:
        parents.append(SHIPPED)
    matrices = parents[: len(roots)]
    return Sources(
        tuple(roots), tuple(p / "matrices" for p in matrices), tuple(p / "schemas" for p in parents)
    )


def _refuse_shadows(roots: Sequence[Path]) -> None:
    first, second = ({p.relative_to(root) for p in root.glob("*/*.yaml")} for root in roots)
    if both := sorted(str(path) for path in first & second):
        raise Faults(
            f"--config-dir {roots[0]} has options with the names of thunder's own; rename:",
            both,
        )


def option_name(group: str, option: str) -> str:
    """Return how a message names an option that does not exist."""
    return f"no {group} {option!r}"


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
        config = _composed(hydra, [*_choice_words(choices, here), *overrides], places)
    config = OmegaConf.merge(config, {"runtime": here.get("runtime", {})})
    raw: dict[str, Any] = _texts_as_keys(OmegaConf.to_container(config, resolve=False))
    raw["runtime"] = {**raw["runtime"], "profile": choices.get("profile")}
    references = tuple(
        tuple(match.split(".")) for text in _strings(raw) for match in _REFERENCE.findall(text)
    )
    return Template(raw, _resolve(raw), references)


def origins_list(choices: Mapping[str, str], places: Sources) -> list[tuple[Path, str]]:
    """Return the files that made a config, in the order they were merged, each with its package."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    words = _choice_words(choices, _this_machine(places))
    with _hydra(places) as (_, overrides):
        loader = GlobalHydra.instance().config_loader()
        found = loader.compute_defaults_list("config", [*words, *overrides], RunMode.RUN)
    rows = [(item.config_path, item.package or "") for item in found.defaults]
    layers = [
        (places.find(path), package) for path, package in rows if path and "hydra" not in path
    ]
    return [*layers, *((path, "") for path in _local_files(places))]


def _choice_words(choices: Mapping[str, str], here: Mapping[str, Any]) -> list[str]:
    merged = {"site": here["site"], **choices} if "site" in here else choices
    return [f"+profile={v}" if k == "profile" else f"{k}={v}" for k, v in merged.items()]


def _local_files(places: Sources) -> list[Path]:
    return [path for root in places.conf if (path := root / "local.yaml").is_file()][:1]


def _this_machine(places: Sources) -> dict[str, Any]:
    """Read conf/local.yaml: what this machine's owner set, which may not change a result."""
    for path in _local_files(places):
        found = read_yaml(path)
        if unknown := sorted(set(found) - {"site", "runtime"}):
            raise ThunderError(f"{path}: {unknown} cannot be set here; only site and runtime can")
        return found
    return {}


def _texts_as_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _texts_as_keys(item) for key, item in value.items()}
    return value


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
        others = [f"'file://{root}'" for root in self.places.conf if root != primary]
        return hydra, [f"hydra.searchpath=[{','.join(others)}]"] if others else []

    def __exit__(self, *_: object) -> None:
        from hydra.core.global_hydra import GlobalHydra

        GlobalHydra.instance().clear()


def _composed(hydra: Any, overrides: list[str], places: Sources) -> Any:
    import yaml
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException

    try:
        return hydra.compose("config", overrides=overrides)
    except MissingConfigException as error:
        group, _, option = str(error.missing_cfg_file or "").rpartition("/")
        have = places.groups.get(group, sorted(places.groups))
        where = str(error).splitlines()[0].partition(":")[0]
        raise ThunderError(
            f"{where}: {option_name(group or 'option', option)}{nearest(option, have)}; "
            f"conf/{group} has {', '.join(have)}"
        ) from error
    except yaml.MarkedYAMLError as error:
        raise ThunderError(yaml_fault(error)) from error
    except (HydraException, OmegaConfBaseException) as error:
        text, groups = str(error).splitlines()[0], ", ".join(places.groups)
        raise ThunderError(f"{text}; the groups of conf/ are {groups}") from error


def yaml_fault(error: Any) -> str:
    """Return one line for a YAML fault: file, line, what was found."""
    mark = error.problem_mark
    place = f"{mark.name}:{mark.line + 1}:{mark.column + 1}" if mark else "YAML"
    return f"{place}: {error.problem}"


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML file as plain data, with YAML's numbers as Hydra reads them."""
    import yaml
    from omegaconf import OmegaConf

    try:
        value = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except yaml.MarkedYAMLError as error:
        raise ThunderError(yaml_fault(error)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ThunderError(f"{path}: cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ThunderError(f"{path}: a mapping is needed, found {type(value).__name__}")
    return {str(key): plain(item) for key, item in value.items()}


def _resolve(raw: dict[str, Any]) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

    try:
        resolved = OmegaConf.to_container(OmegaConf.create(raw), resolve=True)
    except InterpolationKeyError as error:
        key = re.search(r"Interpolation key '([^']+)'", str(error))
        missing = key[1] if key else str(error).splitlines()[0]
        site = raw.get("runtime", {}).get("site", {})
        raise ThunderError(
            f"{error.full_key}: site {site.get('name')!r} does not say what {missing!r} is; "
            "add it to the site, or choose another site or option"
        ) from error
    except OmegaConfBaseException as error:
        raise ThunderError(str(error).splitlines()[0]) from error
    result = plain(resolved)
    assert isinstance(result, dict)
    return result


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


def _strings(value: Any) -> Iterator[str]:
    return (leaf for _, leaf in leaves(value) if isinstance(leaf, str) and "${" in leaf)


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
