"""Where profiles, options, matrices and schemas are read from: the user's folders, then ours."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from thunder.config import local
from thunder.ground.errors import Faults, ThunderError
from thunder.ground.places import SHIPPED

DEFAULT_OUTPUTS = "outputs"


@dataclass(frozen=True)
class Sources:
    """The folders that profiles, matrices and schemas are read from; the user's own come first."""

    conf: tuple[Path, ...]
    matrices: tuple[Path, ...]
    schemas: tuple[Path, ...]
    # By choices: the files of a config, which every cell that makes the choices asks for.
    layers: dict[tuple[tuple[str, str], ...], list[tuple[Path, str]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """The choices: each folder of conf/ with the options in it."""
        by_group: dict[str, set[str]] = {}
        for root in self.conf:
            for path in root.glob("*/*.yaml"):
                if path.is_file():
                    by_group.setdefault(path.parent.name, set()).add(path.stem)
        return {group: sorted(options) for group, options in sorted(by_group.items())}

    @cached_property
    def flags(self) -> list[str]:
        """The flags of a command line that reads from here again."""
        ours = (SHIPPED / "conf").resolve()
        return [] if self.conf[0].resolve() == ours else ["--config-dir", str(self.conf[0])]

    def find(self, config_path: str) -> Path:
        """Return the file of a config, `profile/smoke` or `config`."""
        candidates = [root / f"{config_path}.yaml" for root in self.conf]
        return next((path for path in candidates if path.is_file()), candidates[-1])

    def local_file(self) -> Path | None:
        """Return conf/local.yaml, None when this machine has none."""
        candidates = (root / "local.yaml" for root in self.conf)
        return next((path for path in candidates if path.is_file()), None)

    @cached_property
    def this_machine(self) -> dict[str, Any]:
        """What conf/local.yaml sets."""
        return local.read(self.local_file(), self.schemas)

    def outputs(self) -> str:
        """Return where runs land on this machine when nobody says: conf/local.yaml, or ours."""
        runtime = self.this_machine.get("runtime", {})
        return str(runtime.get("outputs", DEFAULT_OUTPUTS))


def sources(config_dir: Path | None = None) -> Sources:
    """Return where to read from: the given conf/, with ours behind it if it has no config.yaml."""
    ours = SHIPPED / "conf"
    if config_dir is None or config_dir.resolve() == ours.resolve():
        return _of_roots([ours])
    if not config_dir.is_dir():
        raise ThunderError(
            f"--config-dir {config_dir}: no such folder; it should be a conf/ folder"
        )
    own = config_dir.resolve()
    if (own / "config.yaml").is_file():
        return _of_roots([own])
    if (own / "conf").is_dir():
        raise ThunderError(
            f"--config-dir {config_dir}: not a conf/ folder; did you mean {config_dir / 'conf'}?"
        )
    _refuse_empty(own)
    _refuse_shadows(own, ours)
    return _of_roots([own, ours])


def _of_roots(roots: Sequence[Path]) -> Sources:
    parents = [root.parent for root in roots]
    schemas = parents if parents[-1] == SHIPPED else [*parents, SHIPPED]
    return Sources(
        tuple(roots), tuple(p / "matrices" for p in parents), tuple(p / "schemas" for p in schemas)
    )


def _refuse_empty(own: Path) -> None:
    beside = [own.parent / "matrices", own.parent / "schemas"]
    if any(own.glob("*.yaml")) or any(own.glob("*/*.yaml")):
        return
    if own.name != "conf" or not any(folder.is_dir() for folder in beside):
        raise ThunderError(f"--config-dir {own}: no profile and no option in it")


def _refuse_shadows(own: Path, ours: Path) -> None:
    first, second = ({p.relative_to(root) for p in root.glob("*/*.yaml")} for root in (own, ours))
    both = [str(own / path) for path in first & second]
    mine, shipped = own.parent / "matrices", ours.parent / "matrices"
    names = {path.name for path in shipped.glob("*.yaml")}
    both += [str(path) for path in mine.glob("*.yaml") if path.name in names]
    if both and mine.resolve() != shipped.resolve():
        raise Faults(
            f"--config-dir {own}: files with the names of thunder's own; rename:", sorted(both)
        )
