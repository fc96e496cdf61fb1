"""A command line becomes a request: the cells that it asks for, and how to run them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thunder.config import overrides, settable, sources
from thunder.ground import command
from thunder.ground.errors import ThunderError
from thunder.ground.wording import nearest, some
from thunder.jobs import matrix as matrices
from thunder.jobs import matrix_file
from thunder.jobs.matrix_file import Matrix
from thunder.runner import plans

_SHOWN_PLANS = 10


@dataclass(frozen=True)
class Request:
    """What was asked: the cells, the matrix they come from, and how to run them."""

    cells: list[matrices.Cell]
    matrix: Matrix | None
    runtime: dict[str, Any]
    words: overrides.Words
    places: sources.Sources

    @property
    def outputs(self) -> Path:
        """Where runs land."""
        return Path(self.runtime["outputs"])

    @property
    def flags(self) -> list[str]:
        """The options by which `thunder` asks about the same runs and matrices again."""
        outputs = self.runtime["outputs"]
        where = [] if outputs == self.places.outputs() else ["--outputs", outputs]
        return [*where, *self.places.flags]


def read(words: Sequence[str], *, config_dir: Path | None = None, sweep: bool = False) -> Request:
    """Read a command line: a profile, a matrix, or an ad-hoc sweep."""
    places = sources.sources(config_dir)
    names, parsed = _split(words, places)
    return _read(names, parsed, places, sweep=sweep)


def unbound(words: Sequence[str], *, config_dir: Path | None = None) -> list[dict[str, Any]]:
    """Return the configs of a command line before what they read is looked for, unchecked."""
    places = sources.sources(config_dir)
    names, parsed = _split(words, places)
    matrix = matrix_file.load(names[-1], places) if names else None
    return matrices.unbound(matrix, parsed, places)


def _split(words: Sequence[str], places: sources.Sources) -> tuple[list[str], overrides.Words]:
    """Return the matrices that words name, and the other words."""
    plus = [word.removeprefix("+") for word in words]
    names = [word.partition("=")[2] for word in plus if word.startswith("matrix=")]
    rest = [word for word in words if not word.removeprefix("+").startswith("matrix=")]
    return names, overrides.parse(rest, places)


def named(
    name: str, words: Sequence[str], *, outputs: Path, config_dir: Path | None = None
) -> Request:
    """Return the cells that a profile, a matrix, or the kept plan of an ad-hoc sweep stands for.

    Raises:
        ThunderError: there is none of that name.
    """
    places = sources.sources(config_dir)
    is_profile = name in places.groups.get("profile", [])
    parsed = overrides.parse([*([f"+profile={name}"] if is_profile else []), *words], places)
    if "runtime.outputs" in parsed.values:
        word = parsed.spelt["runtime.outputs"]
        raise ThunderError(f"{word!r}: here, --outputs says where runs are")
    # Not a word: no path is so odd that it cannot be given here.
    parsed = replace(
        parsed,
        values={**parsed.values, "runtime.outputs": str(outputs)},
        spelt={**parsed.spelt, "runtime.outputs": command.line("--outputs", outputs)},
    )
    if not name or is_profile:
        return _read([], parsed, places, sweep=bool(parsed.sweeps))
    if parsed.sweeps:
        raise ThunderError(_no_sweep(parsed, places, of_matrix=True))
    kept = None if matrix_file.path_of(name, places) else plans.read(outputs, name)
    if kept is not None and kept["matrix"] is not None:
        origins: dict[tuple[str | int, ...], str] = {(): str(plans.path_of(outputs, name))}
        return of_matrix(Matrix(name, kept["matrix"], origins), parsed, places)
    if matrix_file.path_of(name, places) is None:
        raise ThunderError(_nothing_named(name, outputs, places))
    return _read([name], parsed, places, sweep=False)


def _nothing_named(name: str, outputs: Path, places: sources.Sources) -> str:
    profiles, have = places.groups.get("profile", []), matrix_file.names(places)
    kept = [kept for kept in plans.kept_names(outputs) if kept.startswith("sweep_")]
    return (
        f"no matrix, profile or kept plan {name!r}{nearest(name, [*have, *profiles, *kept])}; "
        f"matrices/ has {', '.join(have) or 'none'}; conf/profile/ has {', '.join(profiles)}; "
        f"{plans.folder_of(outputs)} has {some(kept, _SHOWN_PLANS) or 'no sweep'}"
    )


def _read(
    names: Sequence[str], parsed: overrides.Words, places: sources.Sources, *, sweep: bool
) -> Request:
    if len(set(names)) > 1:
        raise ThunderError(f"one matrix at a time, not {' and '.join(map(repr, names))}")
    if names and sweep:
        raise ThunderError("matrix=NAME and -m do not go together; put the axis into the matrix")
    if parsed.sweeps and not sweep:
        raise ThunderError(_no_sweep(parsed, places, of_matrix=bool(names)))
    if names:
        return of_matrix(matrix_file.load(names[-1], places), parsed, places)
    if sweep and parsed.sweeps:
        matrix = matrix_file.of_words(parsed, places)
        # Its plan is all that is kept of a sweep: it must hold what the words had besides the axes.
        spec = {**matrix.spec, "set": _common(parsed)}
        return of_matrix(replace(matrix, spec=spec), parsed, places)
    cell = matrices.single(parsed, places)
    return Request([cell], None, cell.job.runtime, parsed, places)


def _no_sweep(parsed: overrides.Words, places: sources.Sources, *, of_matrix: bool) -> str:
    """Return why values with commas between them cannot be run, and what was meant perhaps."""
    key = next(iter(parsed.sweeps))
    word = parsed.spelt[settable.full_key(key)]
    as_list = command.override(word.partition("=")[0], parsed.sweeps[key])
    if of_matrix:
        return f"{word!r} is a sweep; a matrix has its axes in its file, and a list is {as_list}"
    if matrices.takes_list(key, parsed, places):
        return f"{word!r} is no list; a list has brackets: {as_list}"
    return f"{word!r} is a sweep; add -m to run all its values"


def _common(words: overrides.Words) -> dict[str, Any]:
    choices = {key: text for key, text in words.choices.items() if key != "profile"}
    values = {key: value for key, value in words.values.items() if key not in settable.OF_ALL}
    return {**choices, **values}


def of_matrix(matrix: Matrix, parsed: overrides.Words, places: sources.Sources) -> Request:
    """Return the request for all cells of a matrix."""
    cells = matrices.expand(matrix, parsed, places)
    return Request(cells, matrix, cells[0].job.runtime, parsed, places)


def choices_text(config_dir: Path | None) -> str:
    """Return the profiles, matrices and options that can be chosen."""
    places = sources.sources(config_dir)
    lines = [f"{group + ':':<10}{', '.join(options)}" for group, options in places.groups.items()]
    lines.append(f"matrix:   {', '.join(matrix_file.names(places))}")
    return "\n".join(["Choices:", *(f"  {line}" for line in lines)])
