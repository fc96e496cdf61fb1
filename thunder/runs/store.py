"""outputs/: which runs there are, and whether they are as they were left."""

import os
import re
from pathlib import Path

from thunder.ground import run_files
from thunder.ground.errors import ThunderError, message_of
from thunder.ground.wording import nearest, some
from thunder.jobs.kinds import KINDS
from thunder.runs import manifest, once
from thunder.runs.run import Run

_FOLDER = re.compile(r"^([0-9a-f]{12})(?:\.(\d+))?$")
_SHOWN_RUNS = 10
_MOST_MOVED = 9  # numbers in a row whose folders somebody may have moved away


@once.remembered
def find(outputs: Path, kind: str, job_id: str) -> Run:
    """Return the newest run of a job that is done, else the newest, else the place for one."""
    runs = runs_of(outputs, kind, job_id)
    if len(runs) == 1:
        return runs[0]
    return next((run for run in reversed(runs) if _is_done(run)), runs[-1])


def runs_of(outputs: Path, kind: str, job_id: str) -> list[Run]:
    """Return the runs of a job, oldest first; the place for the first one when there is none."""
    first = outputs / kind / job_id
    runs: list[Run] = []
    number = missing = 0
    while missing <= _MOST_MOVED:
        number += 1
        folder = str(first) if number == 1 else f"{first}.{number}"
        # A folder without a record was never started: it hides no other run.
        is_there = os.path.lexists(folder) and Run(Path(folder)).exists()
        missing = 0 if is_there else missing + 1
        if is_there:
            runs.append(Run(Path(folder)))
    return runs or [Run(first)]


def beside(outputs: Path, run: Run) -> Run:
    """Return the place for a forced attempt beside the newest run."""
    newest = runs_of(outputs, run.kind, run.id)[-1]
    return Run(outputs / run.kind / f"{run.id}.{newest.number + 1}")


def all_runs(outputs: Path) -> list[Run]:
    """Return every run in a folder of outputs."""
    kinds = [outputs / kind for kind in KINDS]
    return [
        Run(folder)
        for kind in kinds
        if kind.is_dir()
        for folder in sorted(kind.iterdir())
        if is_name(folder.name) and Run(folder).exists()
    ]


def is_name(name: str) -> bool:
    """Say whether a folder of a run may have a name."""
    return _FOLDER.match(name) is not None


def by_prefix(outputs: Path, word: str) -> Run:
    """Return the run that an id or the beginning of one means.

    Raises:
        ThunderError: none or several runs begin so.
    """
    if not word:
        raise ThunderError("an id is needed, or the beginning of one")
    candidates = [run for run in all_runs(outputs) if run.folder.name.startswith(word)]
    exact = [run for run in candidates if run.folder.name == word]
    if len(exact) == 1 or len(candidates) == 1:
        return (exact or candidates)[0]
    if candidates:
        raise ThunderError(f"{word!r} is the beginning of {_shown(candidates)}; give more of it")
    have = all_runs(outputs)
    hint = nearest(word, [run.folder.name for run in have])
    raise ThunderError(f"no run {word!r} in {outputs.absolute()}{hint}; runs: {_shown(have)}")


def has_manifest(run: Run) -> bool:
    """Say whether the run has a manifest, readable or not, so that `verify` has an answer."""
    return os.path.lexists(run.folder / run_files.MANIFEST)


def verify(run: Run) -> list[str]:
    """Prove a run by its id and its manifest; return what is wrong."""
    try:
        run.document()
        record = run.record()
        may_grow = record["status"] != "done"
        left_out = manifest.NOT_LISTED
        wrong = manifest.faults(run.folder, run.id, leave_out=left_out, may_grow=may_grow)
        return wrong or belated(run, record["step"])
    except (ThunderError, OSError) as error:  # a link to nothing, or what may not be read
        return [message_of(error)]


def verify_numbers(run: Run, *, has_steps: bool) -> list[str]:
    """Prove the files that tables read; return what is wrong.

    Args:
        has_steps: numbers are read by step, so that metrics.json, the latest ones, is not.
    """
    numbers = run_files.ROWS if has_steps else run_files.METRICS
    return manifest.faults_of(run.folder, run.id, (run_files.CONFIG, numbers))


def belated(run: Run, verified: int | None) -> list[str]:
    """Return rows that were added after a manifest for steps that were verified with it."""
    if not verified:  # such rows are of a first window that was cut off: nothing vouches for any
        return []
    steps = {row.get("step") for row in run.rows_to_come()}
    belated = sorted(step for step in steps if isinstance(step, int) and step <= verified)
    return [
        f"{run_files.ROWS}: a row of step {step} was added after step {verified} was verified"
        for step in belated
    ]


def _is_done(run: Run) -> bool:
    try:
        return bool(run.record()["status"] == "done")
    except ThunderError:
        return False


def _shown(runs: list[Run]) -> str:
    return some([run.folder.name for run in runs], _SHOWN_RUNS) or "none"
