"""A command line becomes a request; a request is planned, shown and run."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from thunder.config import compose as configs
from thunder.config import overrides
from thunder.ground.errors import ThunderError
from thunder.ground.wording import nearest
from thunder.jobs import matrix as matrices
from thunder.jobs.kinds import KINDS
from thunder.runner import estimate, plans, stages
from thunder.runner import loop as runner
from thunder.screen import lines as screen

_SHOWN_PLANS = 10


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
    plus = [word.removeprefix("+") for word in words]
    names = [word.partition("=")[2] for word in plus if word.startswith("matrix=")]
    rest = [word for word in words if not word.removeprefix("+").startswith("matrix=")]
    parsed = overrides.parse(rest, places)
    return _read(names, parsed, places, sweep=sweep)


def named(
    name: str, words: Sequence[str], *, outputs: Path, config_dir: Path | None = None
) -> Request:
    """Return the cells that a profile, a matrix, or the kept plan of an ad-hoc sweep stands for.

    Raises:
        ThunderError: there is none of that name.
    """
    places = configs.sources(config_dir)
    is_profile = name in places.groups.get("profile", [])
    parsed = overrides.parse([*([f"+profile={name}"] if is_profile else []), *words], places)
    if "runtime.outputs" in parsed.values:
        word = parsed.spelt["runtime.outputs"]
        raise ThunderError(f"{word!r}: here, --outputs says where runs are")
    # Not a word: no path is so odd that it cannot be given here.
    parsed = replace(
        parsed,
        values={**parsed.values, "runtime.outputs": str(outputs)},
        spelt={**parsed.spelt, "runtime.outputs": f"--outputs {outputs}"},
    )
    if not name or is_profile:
        return _read([], parsed, places, sweep=bool(parsed.sweeps))
    if parsed.sweeps:
        word = parsed.spelt[overrides.full_key(next(iter(parsed.sweeps)))]
        raise ThunderError(f"{word!r} is a sweep; a matrix has its axes in its file")
    kept = None if matrices.path_of(name, places) else plans.read(outputs, name)
    if kept is not None and kept["matrix"] is not None:
        origins: dict[tuple[str | int, ...], str] = {(): str(plans.path_of(outputs, name))}
        return of_matrix(matrices.Matrix(name, kept["matrix"], origins), parsed, places)
    if matrices.path_of(name, places) is None:
        raise ThunderError(_nothing_named(name, outputs, places))
    return _read([name], parsed, places, sweep=False)


def _nothing_named(name: str, outputs: Path, places: configs.Sources) -> str:
    profiles, have = places.groups.get("profile", []), matrices.names(places)
    kept = sorted(path.stem for path in (outputs / "plans").glob("sweep_*.json"))
    return (
        f"no matrix, profile or kept plan {name!r}{nearest(name, [*have, *profiles, *kept])}; "
        f"matrices/ has {', '.join(have) or 'none'}; conf/profile/ has {', '.join(profiles)}; "
        f"{outputs / 'plans'} has {', '.join(kept[:_SHOWN_PLANS]) or 'no sweep'}"
    )


def _read(
    names: Sequence[str], parsed: overrides.Words, places: configs.Sources, *, sweep: bool
) -> Request:
    if len(set(names)) > 1:
        raise ThunderError(f"one matrix at a time, not {' and '.join(map(repr, names))}")
    if names and sweep:
        raise ThunderError("matrix=NAME and -m do not go together; put the axis into the matrix")
    if parsed.sweeps and not sweep:
        word = parsed.spelt[overrides.full_key(next(iter(parsed.sweeps)))]
        raise ThunderError(f"{word!r} is a sweep; add -m to run all its values")
    if names:
        return of_matrix(matrices.load(names[-1], places), parsed, places)
    if sweep and parsed.sweeps:
        matrix = matrices.of_words(parsed, places)
        # Its plan is all that is kept of a sweep: it must hold what the words had besides the axes.
        spec = {**matrix.spec, "set": _common(parsed)}
        return of_matrix(replace(matrix, spec=spec), parsed, places)
    cell = matrices.single(parsed, places)
    return Request([cell], None, cell.job.runtime, parsed, places)


def _common(words: overrides.Words) -> dict[str, Any]:
    choices = {key: text for key, text in words.choices.items() if key != "profile"}
    values = {key: value for key, value in words.values.items() if key not in overrides.OF_ALL}
    return {**choices, **values}


def of_matrix(matrix: matrices.Matrix, parsed: overrides.Words, places: configs.Sources) -> Request:
    """Return the request for all cells of a matrix."""
    cells = matrices.expand(matrix, parsed, places)
    return Request(cells, matrix, cells[0].job.runtime, parsed, places)


def run(request: Request) -> int:
    """Plan, show and run a request; returns the exit code."""
    runtime = request.runtime
    planned = runner.plan(request.cells, request.outputs, force=runtime["force"])
    earlier = earlier_of(request, planned)
    many = request.matrix is not None
    with screen_of_stream(many=many) as shown:
        for line in screen.stage_lines(earlier):
            shown.say(line)
        _show_plan(request, planned, earlier, shown)
        if runtime["dry_run"]:
            return 0
        _check_packages([*planned, *(row for _, rows in earlier for row in rows)])
        outcomes = stages.run(earlier, shown, at_once=runtime["jobs"])
        if _may_go_on(request, earlier, outcomes, shown):
            own = runner.run(planned, shown, at_once=runtime["jobs"])
            _show_ending(request, own, shown)
            outcomes += own
    return runner.exit_code(outcomes)


def _check_packages(planned: Sequence[runner.Planned]) -> None:
    """Refuse before anything runs when the lane of a cell that is left cannot be imported."""
    kinds = {row.cell.job.kind for row in planned if not row.is_reached}
    for kind in sorted(kinds):
        missing = [name for name in KINDS[kind].packages if find_spec(name) is None]
        if missing:
            raise ThunderError(
                f"kind {kind} needs {', '.join(missing)}: install thunder with its extra, "
                f"pip install -c constraints.txt -e '.[{KINDS[kind].extra}]'",
                "environment",
            )


def earlier_of(request: Request, planned: Sequence[runner.Planned]) -> stages.Earlier:
    """Return what must be done before the cells that are left; nothing when none is."""
    left = [row.cell for row in planned if not row.is_reached]
    return stages.plan(left, request.matrix, request.words, request.places, request.outputs)


def _may_go_on(
    request: Request,
    earlier: stages.Earlier,
    outcomes: Sequence[runner.Outcome],
    shown: screen.Shown,
) -> bool:
    """Say whether the cells themselves may start; tell when a required matrix is in the way."""
    if lacking := stages.lacking(earlier, outcomes):
        for line in screen.failure_lines(outcomes, request.runtime["outputs"]):
            shown.say(line)
        shown.say(f"{request.matrix.name if request.matrix else 'this'}: not started: {lacking}")
        return False
    return not any(row.ending == "stopped" for row in outcomes)


def screen_of_stream(*, many: bool) -> screen.Shown:
    """Return the screen that fits standard output.

    Args:
        many: several runs at once or in turn: one line per run instead of every table.
    """
    if not sys.stdout.isatty():
        return screen.Plain(many=many)
    from thunder.screen.terminal import Terminal

    return Terminal(many=many)


def _show_plan(
    request: Request,
    planned: list[runner.Planned],
    earlier: stages.Earlier,
    shown: screen.Shown,
) -> None:
    for line in screen.plan_lines(planned):
        shown.say(f"plan    {line}")
    if request.matrix is None:
        return
    seconds = estimate.seconds_left(planned, request.outputs)
    new = plans.document(request.matrix, planned, seconds)
    changed = plans.changes(plans.read(request.outputs, request.matrix.name), new)
    kept = keep(request.outputs, new, may_fail=request.runtime["dry_run"])
    shown.say(f"{screen.summary(request.matrix.name, planned)}; {request.outputs.absolute()}")
    if left := left_text(request, seconds, earlier):
        shown.say(left)
    shown.say(
        "since the last plan: "
        + ", ".join(f"{len(cells)} {word}" for word, cells in changed.items())
        + f"; {kept}"
    )


def left_text(request: Request, seconds: Sequence[float | None], earlier: stages.Earlier) -> str:
    """Return how long cells will take, with what comes before them; nothing when none is known."""
    first = [row for _, rows in earlier for row in rows]
    both = [*estimate.seconds_left(first, request.outputs), *seconds]
    return estimate.text_of(both, request.runtime["jobs"])


def keep(outputs: Path, plan: dict[str, Any], *, may_fail: bool) -> str:
    """Write a plan and say where; a question about read-only outputs is answered without it."""
    try:
        return str(plans.write(outputs, plan))
    except OSError as error:
        why = f"the plan cannot be written into {outputs.absolute()}: {error.strerror or error}"
        if not may_fail:
            raise ThunderError(why, "write") from error
        return why


def _show_ending(request: Request, outcomes: list[runner.Outcome], shown: screen.Shown) -> None:
    if request.matrix is None:
        only = outcomes[0]
        if only.ending == "reached" and only.planned.is_reached:
            shown.say(f"done    {_reached_text(only.planned)}; nothing was run")
        return
    counts = {ending: 0 for ending in ("reached", "failed", "blocked", "stopped", "elsewhere")}
    for outcome in outcomes:
        counts[outcome.ending] += 1
    for line in screen.failure_lines(outcomes, request.runtime["outputs"]):
        shown.say(line)
    found = ", ".join(f"{count} {ending}" for ending, count in counts.items() if count)
    shown.say(f"{request.matrix.name}: {found}")
    has_table = "table" in request.matrix.spec or KINDS[request.cells[0].job.kind].headline
    if counts["reached"] == len(outcomes) and has_table:
        shown.say(f"its numbers: thunder table {request.matrix.name}")


def _reached_text(row: runner.Planned) -> str:
    is_whole = row.cell.job.goal is None
    return f"{row.run.folder.name} is done" if is_whole else screen.steps_text(row)


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
    lines.append(f"matrix:   {', '.join(matrices.names(places))}")
    return "\n".join(["Choices:", *(f"  {line}" for line in lines)])
