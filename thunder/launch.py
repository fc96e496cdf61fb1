"""A command line becomes a request; a request is planned, shown and run."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder import config as configs
from thunder import matrix as matrices
from thunder import overrides, plans, provenance, runner, screen
from thunder.errors import ThunderError


@dataclass(frozen=True)
class Request:
    """What was asked: the cells, the matrix they come from, and how to run them."""

    cells: list[matrices.Cell]
    matrix: matrices.Matrix | None
    runtime: dict[str, Any]
    words: overrides.Words
    places: configs.Sources

    @property
    def outputs(self) -> Path:
        """Where runs land."""
        return Path(self.runtime["outputs"])


def read(words: Sequence[str], *, config_dir: Path | None = None, sweep: bool = False) -> Request:
    """Read a command line: a profile, a matrix, or an ad-hoc sweep."""
    places = configs.sources(config_dir)
    names = [word.partition("=")[2] for word in words if word.startswith("matrix=")]
    rest = [
        "+" + w if w.startswith("profile=") else w for w in words if not w.startswith("matrix=")
    ]
    parsed = overrides.parse(rest, places)
    if names and sweep:
        raise ThunderError("matrix=NAME and -m do not go together; put the axis into the matrix")
    if parsed.sweeps and not sweep:
        word = parsed.spelt[overrides.full_key(next(iter(parsed.sweeps)))]
        raise ThunderError(f"{word!r} is a sweep; add -m to run all its values")
    if names:
        return of_matrix(matrices.load(names[-1], places), parsed, places)
    if sweep and parsed.sweeps:
        return of_matrix(matrices.of_words(parsed, places), parsed, places)
    cell = matrices.single(parsed, places)
    return Request([cell], None, cell.job.runtime, parsed, places)


def of_matrix(matrix: matrices.Matrix, parsed: overrides.Words, places: configs.Sources) -> Request:
    """Return the request for all cells of a matrix."""
    cells = matrices.expand(matrix, parsed, places)
    return Request(cells, matrix, cells[0].job.runtime, parsed, places)


def run(request: Request) -> int:
    """Plan, show and run a request; returns the exit code."""
    runtime = request.runtime
    planned = runner.plan(request.cells, request.outputs, force=runtime["force"])
    many = request.matrix is not None
    with screen.of_stream(many=many) as shown:
        _show_plan(request, planned, shown)
        if runtime["dry_run"]:
            return 0
        outcomes = runner.run(planned, shown, at_once=runtime["jobs"])
        _show_ending(request, outcomes, shown)
    return runner.exit_code(outcomes)


def _show_plan(
    request: Request, planned: list[runner.Planned], shown: screen.Plain | screen.Terminal
) -> None:
    for line in screen.plan_lines(planned, len(planned)):
        shown.say(f"plan    {line}")
    if request.matrix is None:
        return
    new = plans.document(request.matrix, planned)
    changed = plans.changes(plans.read(request.outputs, request.matrix.name), new)
    path = plans.write(request.outputs, new)
    shown.say(summary(request.matrix.name, planned))
    shown.say(
        "since the last plan: "
        + ", ".join(f"{len(cells)} {word}" for word, cells in changed.items())
        + f"; {path}"
    )


def summary(name: str, planned: Sequence[runner.Planned]) -> str:
    """Return the counts of a plan in one line."""
    reached = sum(row.is_reached for row in planned)
    counts: dict[str, int] = {}
    for row in planned:
        if not row.is_reached:
            counts[row.status] = counts.get(row.status, 0) + 1
    rest = "".join(f", {count} {status}" for status, count in counts.items())
    runs = len({row.run.folder for row in planned})
    return f"{name}: {len(planned)} cells, {runs} runs: {reached} reached{rest}"


def _show_ending(
    request: Request, outcomes: list[runner.Outcome], shown: screen.Plain | screen.Terminal
) -> None:
    if request.matrix is None:
        only = outcomes[0]
        if only.ending == "reached" and only.planned.is_reached:
            shown.say(f"done    {screen.steps_text(only.planned)}; nothing was run")
        return
    counts = {ending: 0 for ending in ("reached", "failed", "stopped", "elsewhere")}
    for outcome in outcomes:
        counts[outcome.ending] += 1
    text = ", ".join(f"{count} {ending}" for ending, count in counts.items() if count)
    shown.say(f"{request.matrix.name}: {text}")


def print_config(request: Request) -> None:
    """Print the config of each cell as YAML."""
    import yaml

    for cell in request.cells:
        print(f"# {cell.job.id} {cell.label}".rstrip())
        print(yaml.safe_dump(cell.job.config, allow_unicode=True, sort_keys=False))


def choices_text(config_dir: Path | None) -> str:
    """Return the profiles, matrices and options that can be chosen."""
    places = configs.sources(config_dir)
    lines = [f"{group + ':':<10}{', '.join(options)}" for group, options in places.groups.items()]
    have = sorted({path.stem for root in places.matrices for path in root.glob("*.yaml")})
    return "\n".join(
        ["Choices:", *(f"  {line}" for line in [*lines, f"matrix:   {', '.join(have)}"])]
    )


def command_text() -> str:
    """Return the command of this process as one line."""
    return shlex.join(provenance.command())
