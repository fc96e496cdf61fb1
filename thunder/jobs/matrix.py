"""A profile varied over axes: profile × axes → cells, composed once per choice of groups."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thunder.config import compose as configs
from thunder.config import origin, overrides, settable
from thunder.config.sources import Sources
from thunder.config.template import Template
from thunder.ground import schema, wording
from thunder.ground.errors import Faults, ThunderError
from thunder.ground.sections import Sections
from thunder.jobs import axes, cell_origins, comparable, inputs
from thunder.jobs import job as jobs
from thunder.jobs.axes import Coordinates, matches
from thunder.jobs.kinds import KINDS
from thunder.jobs.matrix_file import Matrix

_SHOWN_FAULTS = 20
_EXPLAINED_CELLS = 100  # to explain a fault costs as much as to expand a hundred cells


@dataclass(frozen=True)
class Cell:
    """One point of a matrix: where it lies on the axes, and the job there."""

    coordinates: Coordinates
    job: jobs.Job

    @property
    def label(self) -> str:
        """The coordinates as a person reads them."""
        return " ".join(f"{key}={value}" for key, value in self.coordinates.items())

    def is_required(self, matrix: Matrix) -> bool:
        """Say whether a bundle of the matrix is incomplete without this cell."""
        patterns = matrix.spec.get("optional", [])
        return not any(matches(self.coordinates, pattern) for pattern in patterns)


def expand(matrix: Matrix, words: overrides.Words, places: Sources) -> list[Cell]:
    """Return the checked cells of a matrix, in file order.

    Args:
        words: overrides for all cells; they win over the matrix's `set`.

    Raises:
        Faults: faults of any cell's config, duplicate cells, cells that break `same` or `differ`.
    """
    _refuse_overridden_axes(matrix, words)
    expansion = _Expansion(matrix, words, places)
    # Before a point is looked for: what is left of too many may lie far behind.
    expansion.refuse_too_many(places.this_machine.get("runtime"))
    coordinates = list(axes.points(matrix.spec))
    if not coordinates:
        raise ThunderError(f"matrix {matrix.name!r} has no cell left; see its only and exclude")
    expansion.refuse_too_many(expansion.config(*expansion.sides(coordinates[0])).get("runtime"))
    sides = [expansion.sides(point) for point in coordinates]
    configs_of_cells = [expansion.config(*side) for side in sides]
    expansion.check(coordinates, configs_of_cells)
    cells = [
        Cell(point, expansion.job(point, *side, config))
        for point, side, config in zip(coordinates, sides, configs_of_cells, strict=True)
    ]
    _refuse_duplicates(cells, matrix)
    comparable.check(matrix.name, matrix.spec, ((cell.label, cell.job.document) for cell in cells))
    return cells


def unbound(matrix: Matrix | None, words: overrides.Words, places: Sources) -> list[dict[str, Any]]:
    """Return the configs of cells as they are before their inputs are looked for, unchecked."""
    if matrix is None:
        return [configs.compose(words.choices, places).fill(words.values)]
    expansion = _Expansion(matrix, words, places)
    return [expansion.config(*expansion.sides(point)) for point in axes.points(matrix.spec)]


def single(words: overrides.Words, places: Sources) -> Cell:
    """Return the one cell of a command line without a matrix."""
    template = configs.compose(words.choices, places)
    config = template.fill(words.values)

    def origins() -> origin.Origins:
        return cell_origins.of_words(words, places)

    jobs.check(config, places, origins, _title(words))
    command = overrides.command(words.choices, words.values, places.flags)
    return Cell({}, jobs.make(config, None, command, origins=origins))


def takes_list(key: str, words: overrides.Words, places: Sources) -> bool:
    """Say whether a key that words sweep over takes a list, which was written without brackets."""
    full = settable.full_key(key)
    first = {**words.values, full: words.sweeps[key][0]}
    config = configs.compose(words.choices, places).fill(first)
    kind = config.get("kind")
    faults = schema.faults(kind, config, places.schemas) if kind in KINDS else []
    return any(fault.path == tuple(full.split(".")) and fault.wants == "list" for fault in faults)


def origins_of(
    cell: Cell, matrix: Matrix | None, words: overrides.Words, places: Sources
) -> origin.Origins:
    """Return the place that set each key of a cell."""
    if matrix is None:
        return cell_origins.of_words(words, places)
    return _Expansion(matrix, words, places).origins(cell.coordinates)


class _Expansion:
    """Composes once per choice of groups and sets the rest per cell."""

    def __init__(self, matrix: Matrix, words: overrides.Words, places: Sources) -> None:
        self.matrix, self.words, self.places = matrix, words, places
        self.groups = {"profile", *places.groups}
        common = {**matrix.spec.get("set", {})}
        if "profile" in matrix.spec:
            common = {"profile": matrix.spec["profile"], **common}
        self.choices: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self._add({**common, **words.choices, **words.values}, self.choices, self.values)
        self.templates: dict[tuple[tuple[str, str], ...], Template] = {}
        self.layers = cell_origins.Layers(matrix, words, places)
        self.memo: jobs.Memo = {}
        self.known = inputs.Known()
        self.sections = Sections(places.schemas)
        self.spelt: overrides.Spelt = {}

    def sides(self, point: Coordinates) -> tuple[dict[str, str], dict[str, Any]]:
        """Return the group choices and the values of a cell."""
        choices, values = dict(self.choices), dict(self.values)
        self._add(point, choices, values)
        return choices, values

    def _add(self, point: Coordinates, choices: dict[str, str], values: dict[str, Any]) -> None:
        for key, value in point.items():
            if key in self.groups:
                choices[key] = str(value)
            else:
                values[settable.full_key(key)] = value

    def config(self, choices: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the config of a cell."""
        key = tuple(choices.items())
        if key not in self.templates:
            try:
                self.templates[key] = configs.compose(choices, self.places)
            except ThunderError as error:
                raise ThunderError(f"matrix {self.matrix.name!r}: {error}", error.cause) from error
        return self.templates[key].fill(values)

    def refuse_too_many(self, runtime: Any) -> None:
        """Refuse what takes long and can hardly be meant."""
        cells = axes.count(self.matrix.spec)
        most = overrides.most_cells(self.values, runtime)
        if cells > most:
            raise ThunderError(
                f"matrix {self.matrix.name!r} spans {cells:,} cells; {most:,} is the most: "
                f"max_cells={cells} allows these"
            )

    def job(
        self,
        point: Coordinates,
        choices: Mapping[str, str],
        values: Mapping[str, Any],
        config: dict[str, Any],
    ) -> jobs.Job:
        """Return the job of a cell, with the command that makes it alone."""
        command = overrides.command(choices, values, self.places.flags, self.spelt)
        return jobs.make(config, self.memo, command, self.known, lambda: self.origins(point))

    def check(self, points: list[Coordinates], configs_of_points: list[dict[str, Any]]) -> None:
        """Raise Faults for all cells at once; a fault that many cells share is told once."""
        faults: dict[str, list[Coordinates]] = {}
        failing = 0
        for point, config in zip(points, configs_of_points, strict=True):
            if len(faults) > _SHOWN_FAULTS or failing == _EXPLAINED_CELLS:
                break
            told = self._faults(point, config)
            failing += bool(told)
            for fault in told:
                faults.setdefault(fault, []).append(point)
        if faults:
            lines = [f"{fault}{_cells_text(cells, points)}" for fault, cells in faults.items()]
            raise Faults(f"matrix {self.matrix.name!r} has cells that cannot run:", lines)

    def _faults(self, point: Coordinates, config: dict[str, Any]) -> list[str]:
        return jobs.faults_of(
            config, self.places, lambda: self.origins(point), self.memo, self.sections
        )

    def origins(self, point: Coordinates) -> origin.Origins:
        """Return where the values of a cell were set."""
        return self.layers.of(point, self.sides(point)[0])


def _refuse_overridden_axes(matrix: Matrix, words: overrides.Words) -> None:
    both = [key for key in (*words.choices, *words.values) if key in _axis_keys(matrix)]
    if both:
        raise ThunderError(
            f"{both[0]!r} is an axis of matrix {matrix.name!r}; edit the matrix, or use -m instead"
        )


def _axis_keys(matrix: Matrix) -> set[str]:
    included = [key for extra in matrix.spec.get("include", []) for key in extra]
    return {settable.full_key(axis) for axis in (*matrix.axes, *included)}


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
            wording.some_lines(faults, _SHOWN_FAULTS),
        )


def _title(words: overrides.Words) -> str:
    profile = words.choices.get("profile")
    return f"profile {profile!r} cannot run" if profile else "nothing can run"


def _cells_text(cells: list[Coordinates], points: list[Coordinates]) -> str:
    if len(cells) == len(points):
        return " (in every cell)"
    first = " ".join(f"{key}={value}" for key, value in cells[0].items())
    if len(cells) == 1:
        return f" (cell {first})"
    more = " or more" if len(cells) == _EXPLAINED_CELLS else ""
    return f" ({len(cells)} cells{more}, first {first})"
