"""How far a run is for what is asked of it: the one answer to "has this cell its result?"."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thunder.ground.errors import ThunderError, message_of
from thunder.runs import manifest, once
from thunder.runs.run import REMEDY, Run, Status


def has_result(status: Status, step: int | None, goal: int | None) -> bool:
    """Say whether what is asked was verified once, whatever goes on now.

    Args:
        goal: the step that is asked for; None: the whole job, which may have no steps.
    """
    return status == "done" if goal is None or step is None else step >= goal


def is_reached(status: Status, step: int | None, goal: int | None) -> bool:
    """Say whether nothing is left to be run: a run that goes on, or was lost, is not settled."""
    return has_result(status, step, goal) and status not in ("running", "lost")


@dataclass(frozen=True)
class Reading:
    """A run as it stands for a goal.

    Args:
        record: empty of a run that was never started, or cannot be read.
        fault: why it cannot be read, or believed, where its status is `unreadable`.
    """

    run: Run
    goal: int | None
    status: Status
    step: int | None
    record: Mapping[str, Any]
    fault: str | None = None

    @property
    def has_result(self) -> bool:
        """Whether there are numbers for the goal."""
        return has_result(self.status, self.step, self.goal)

    @property
    def is_reached(self) -> bool:
        """Whether nothing is left to be run for the goal."""
        return is_reached(self.status, self.step, self.goal)

    @property
    def in_words(self) -> str:
        """How far it is, in words: `no run yet`, `the run is failed at step 3 of 10`."""
        if self.status == "planned":
            return "no run yet"
        if self.fault is not None:
            return f"the run is unreadable: {self.fault}"
        way = "" if self.goal is None else f" at step {self.step} of {self.goal}"
        return f"the run is {self.status}{way}"


@once.remembered
def of(run: Run, goal: int | None) -> Reading:
    """Read how far a run is; one that cannot be read bars no other."""
    if not run.exists():
        return Reading(run, goal, "planned", None, {})
    try:
        record = run.record()
        reading = Reading(run, goal, run.status(record), record["step"], record)
    except (ThunderError, OSError) as error:
        return unreadable(run, goal, message_of(error))
    is_proof_needed = reading.has_result or reading.step
    if is_proof_needed and (fault := manifest.fault(run.folder, run.id)):
        return unreadable(run, goal, f"{fault}; {REMEDY}")
    return reading


def unreadable(run: Run, goal: int | None, fault: str) -> Reading:
    """Return the reading of a run that must not be believed, and why."""
    return Reading(run, goal, "unreadable", None, {}, fault)
