"""A profile varied over axes: profile × axes → cells, composed once per choice of groups."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from thunder import config as configs
from thunder import digest, matched, origin, overrides, schema
from thunder import job as jobs
from thunder.errors import Faults, ThunderError

_SHOWN_FAULTS = 20
Coordinates = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One point of a matrix: where it lies on the axes, and the job there."""

    coordinates: Coordinates
    job: jobs.Job

    @property
    def label(self) -> str:
        """The coordinates as a person reads them."""
        return " ".join(f"{key}={value}" for key, value in self.coordinates.items())


@dataclass(frozen=True)
class Matrix:
    """A matrix as its file has it, and where its keys were set."""

    name: str
    spec: dict[str, Any]
    origins: Mapping[tuple[str, ...], str]

    @property
    def axes(self) -> dict[str, list[Any]]:
        """The axes with their values."""
        return dict(self.spec["axes"])


def load(name: str, places: configs.Sources) -> Matrix:
    """Read and check matrices/<name>.yaml."""
    have = {path.stem: path for root in reversed(places.matrices) for path in root.glob("*.yaml")}
    if name not in have:
        raise ThunderError(
            f"no matrix {name!r}{schema.nearest(name, list(have))}; "
            f"matrices/ has {', '.join(sorted(have)) or 'none'}"
        )
    spec = configs.read_yaml(have[name])
    origins = {
        key: f"{origin.shown(have[name])}:{line}" for key, line, _ in origin.lines(have[name])
    }
    return checked(name, spec, origins, places)


def checked(
    name: str, spec: dict[str, Any], origins: Mapping[tuple[str, ...], str], places: configs.Sources
) -> Matrix:
    """Check a matrix against its schema, and its own words against each other."""
    found = [
        (fault.path, f"{fault.key}: {fault.message}")
        for fault in schema.faults("matrix", spec, places.schemas)
    ]
    found = found or list(_inner_faults(spec))
    if found:
        raise Faults(
            f"matrix {name!r} is not right:",
            [f"{origin.find(origins, path) or name}: {message}" for path, message in found],
        )
    return Matrix(name, spec, origins)


def of_words(words: overrides.Words, places: configs.Sources) -> Matrix:
    """Make the matrix of an ad-hoc `-m` sweep."""
    spec: dict[str, Any] = {"axes": dict(words.sweeps)}
    if "profile" in words.choices:
        spec["profile"] = words.choices["profile"]
    name = f"sweep_{digest.of_value({**spec, 'set': dict(words.values)})[:8]}"
    origins: dict[tuple[str, ...], str] = {
        ("axes", axis): f"command line {words.spelt[overrides.full_key(axis)]!r}"
        for axis in words.sweeps
    }
    return checked(name, spec, origins, places)


def expand(matrix: Matrix, words: overrides.Words, places: configs.Sources) -> list[Cell]:
    """Return the checked cells of a matrix, in file order.

    Args:
        words: overrides for all cells; they win over the matrix's `set`.

    Raises:
        Faults: faults of any cell's config, duplicate cells, cells that break `same` or `differ`.
    """
    _refuse_overridden_axes(matrix, words)
    coordinates = list(_points(matrix.spec))
    expansion = _Expansion(matrix, words, places)
    configs_of_cells = [expansion.config(point) for point in coordinates]
    expansion.check(coordinates, configs_of_cells)
    cells = [
        Cell(point, expansion.job(point, config))
        for point, config in zip(coordinates, configs_of_cells, strict=True)
    ]
    _refuse_duplicates(cells, matrix)
    matched.check(matrix.name, matrix.spec, [(cell.label, cell.job.document) for cell in cells])
    return cells


def single(words: overrides.Words, places: configs.Sources) -> Cell:
    """Return the one cell of a command line without a matrix."""
    template = configs.compose(words.choices, places)
    config = template.fill(words.values)
    jobs.check(config, places, lambda: _origins(words.choices, words, places), _title(words))
    return Cell({}, jobs.make(config, None, overrides.command(words.choices, words.values)))


def origins_of(
    cell: Cell, matrix: Matrix | None, words: overrides.Words, places: configs.Sources
) -> dict[tuple[str, ...], str]:
    """Return the place that set each key of a cell."""
    if matrix is None:
        return _origins(words.choices, words, places)
    return _Expansion(matrix, words, places).origins(cell.coordinates)


class _Expansion:
    """Composes once per choice of groups and sets the rest per cell."""

    def __init__(self, matrix: Matrix, words: overrides.Words, places: configs.Sources) -> None:
        self.matrix, self.words, self.places = matrix, words, places
        self.groups = {"profile", *places.groups}
        common = {**matrix.spec.get("set", {})}
        if "profile" in matrix.spec:
            common = {"profile": matrix.spec["profile"], **common}
        self.common = {**common, **words.choices, **words.values}
        self.templates: dict[tuple[tuple[str, str], ...], configs.Template] = {}
        self.memo: jobs.Memo = {}

    def sides(self, point: Coordinates) -> tuple[dict[str, str], dict[str, Any]]:
        """Return the group choices and the values of a cell."""
        merged = {**self.common, **point}
        choices = {key: str(value) for key, value in merged.items() if key in self.groups}
        values = {overrides.full_key(k): v for k, v in merged.items() if k not in self.groups}
        return choices, values

    def config(self, point: Coordinates) -> dict[str, Any]:
        """Return the config of a cell."""
        choices, values = self.sides(point)
        key = tuple(choices.items())
        if key not in self.templates:
            try:
                self.templates[key] = configs.compose(choices, self.places)
            except ThunderError as error:
                raise ThunderError(f"matrix {self.matrix.name!r}: {error}", error.cause) from error
        return self.templates[key].fill(values)

    def job(self, point: Coordinates, config: dict[str, Any]) -> jobs.Job:
        """Return the job of a cell, with the command that makes it alone."""
        return jobs.make(config, self.memo, overrides.command(*self.sides(point)))

    def check(self, points: list[Coordinates], found: list[dict[str, Any]]) -> None:
        """Raise Faults for all cells at once; a fault that many cells share is told once."""
        faults: dict[str, list[Coordinates]] = {}
        for point, config in zip(points, found, strict=True):
            if len(faults) > _SHOWN_FAULTS:
                break
            for fault in self._faults(point, config):
                faults.setdefault(fault, []).append(point)
        if faults:
            lines = [f"{fault}{_cells_text(cells, points)}" for fault, cells in faults.items()]
            raise Faults(f"matrix {self.matrix.name!r} has cells that cannot run:", lines)

    def _faults(self, point: Coordinates, config: dict[str, Any]) -> list[str]:
        return jobs.faults_of(config, self.places, lambda: self.origins(point), self.memo)

    def origins(self, point: Coordinates) -> dict[tuple[str, ...], str]:
        """Return where the values of a cell were set."""
        choices, _ = self.sides(point)
        found = _origins(choices, self.words, self.places)
        for part, keys in (("set", self.matrix.spec.get("set", {})), ("axes", point)):
            for key in keys:
                place = origin.find(self.matrix.origins, (part, key))
                if place:
                    found[tuple(overrides.full_key(key).split("."))] = place
        return found


def _points(spec: Mapping[str, Any]) -> Iterator[Coordinates]:
    axes = spec["axes"]
    for values in product(*axes.values()):
        point = dict(zip(axes, values, strict=True))
        if not any(_matches(point, pattern) for pattern in spec.get("exclude", [])):
            yield point
    yield from (dict(point) for point in spec.get("include", []))


def _matches(point: Coordinates, pattern: Mapping[str, Any]) -> bool:
    return all(key in point and point[key] == value for key, value in pattern.items())


def _inner_faults(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    axes = spec["axes"]
    for pattern in spec.get("exclude", []):
        unknown = [key for key in pattern if key not in axes]
        for key in unknown:
            hint = schema.nearest(key, list(axes))
            text = f"exclude {pattern}: {key!r} is not an axis{hint}; axes: {', '.join(axes)}"
            yield ("exclude",), text
        if not unknown and not all(value in axes[key] for key, value in pattern.items()):
            yield ("exclude",), f"exclude {pattern} matches no cell; was the axis edited?"
    table = spec.get("table", {})
    if "over" in table and table["over"] not in axes:
        hint = schema.nearest(table["over"], list(axes))
        yield ("table", "over"), f"table.over: {table['over']!r} is not an axis{hint}"
    if "profile" in axes or "profile" in spec:
        return
    yield (), "profile: missing (the profile that is varied)"


def _refuse_overridden_axes(matrix: Matrix, words: overrides.Words) -> None:
    both = [key for key in (*words.choices, *words.values) if key in _axis_keys(matrix)]
    if both:
        raise ThunderError(
            f"{both[0]!r} is an axis of matrix {matrix.name!r}; edit the matrix, or use -m instead"
        )


def _axis_keys(matrix: Matrix) -> set[str]:
    return {overrides.full_key(axis) for axis in matrix.axes}


def _refuse_duplicates(cells: list[Cell], matrix: Matrix) -> None:
    seen: dict[tuple[str, int | None], Cell] = {}
    faults = []
    for cell in cells:
        key = (cell.job.id, cell.job.goal)
        if key in seen:
            faults.append(f"({seen[key].label}) and ({cell.label}) are one job, {cell.job.id}")
        seen.setdefault(key, cell)
    if faults:
        raise Faults(
            f"matrix {matrix.name!r} has duplicate cells (keys of runtime are outside the id):",
            faults[:_SHOWN_FAULTS],
        )


def _origins(
    choices: Mapping[str, str], words: overrides.Words, places: configs.Sources
) -> dict[tuple[str, ...], str]:
    found = origin.of_files(configs.origins_list(choices, places))
    for key, word in words.spelt.items():
        found[tuple(key.split("."))] = f"command line {word!r}"
    return found


def _title(words: overrides.Words) -> str:
    profile = words.choices.get("profile")
    return f"profile {profile!r} cannot run" if profile else "nothing can run"


def _cells_text(cells: list[Coordinates], points: list[Coordinates]) -> str:
    if len(cells) == len(points):
        return " (in every cell)"
    first = " ".join(f"{key}={value}" for key, value in cells[0].items())
    return f" (cell {first})" if len(cells) == 1 else f" ({len(cells)} cells, first {first})"


def path_of(name: str, places: configs.Sources) -> Path | None:
    """Return the file of a matrix, None for an ad-hoc one."""
    return next((p for root in places.matrices if (p := root / f"{name}.yaml").is_file()), None)
