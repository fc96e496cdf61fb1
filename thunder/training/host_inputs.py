"""What a job reads, in the preflight of a host: brought, compared, mended, or named with advice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thunder.ground import moving, wording
from thunder.ground.errors import ThunderError
from thunder.hosts import sync
from thunder.hosts.connection import Connection
from thunder.hosts.inputs import Input, Place
from thunder.training.preflight import Checks, Skip, megabytes

OWN_INPUTS = "stand-ins and own folders"
MENDED = "mended"
_COLD = ("data", "model")  # causes that bringing files can mend


@dataclass(frozen=True)
class HostInputs:
    """The inputs of a job and the host that is to have them.

    Args:
        places: where each of them lies there, by name.
        say: tells a person something.
        stop: asked now and then whether nobody waits any more.
        brings: whether what the host lacks may be brought to it.
    """

    way: Connection
    items: Sequence[Input]
    places: Mapping[str, Place]
    runtime: Mapping[str, Any]
    say: Callable[[str], None]
    stop: Callable[[], bool]
    brings: bool

    def state(self, item: Input) -> sync.State:
        """Return what of an input is there."""
        return sync.state(self.way, item, self.places[item.name])

    def bring(self, item: Input) -> sync.State:
        """Have an input there, whole; return what of it was there before."""
        show = moving.lines(f"host {self.way.host.name}: {item.name} {item.label}", self.say)
        return sync.bring(self.way, item, self.places[item.name], show, self.stop)


def bring_own(there: HostInputs, checks: Checks) -> list[Input]:
    """Bring what lies in thunder's own folder there: nobody else could have brought it.

    Returns what is left to be brought when a run begins.
    """
    own = [item for item in there.items if there.places[item.name].is_ours]
    later: list[Input] = []
    if not own:
        return later
    with checks.check(OWN_INPUTS, "environment") as measured:
        if there.brings:
            measured("; ".join(f"{one.name} {_brought(there.bring(one))}" for one in own))
            return later
        states = [(one, there.state(one)) for one in own]
        cold = [(one, state) for one, state in states if state.lacking and not state.differing]
        later += [one for one, _ in cold]
        if cold:
            told = (f"{one.name}, {megabytes(state.bytes)}" for one, state in cold)
            raise Skip(f"brought when a run begins: {'; '.join(told)}")
        measured("nothing is lacking")
    return later


def put_off(checks: Checks, later: Sequence[Input]) -> None:
    """Have what cannot be checked before thunder brings it be no fault."""
    causes, left = {item.cause for item in later}, list[Any]()
    failed = [row for row in checks.rows if row["status"] == "FAIL"]
    for row, cause in zip(failed, checks.causes, strict=True):
        if cause in causes:
            row |= {"status": "SKIPPED", "reason": f"needs: {OWN_INPUTS}"}
        else:
            left.append(cause)
    checks.causes[:] = left


def compare(there: HostInputs, checks: Checks) -> None:
    """Check that a host has what this machine has, where a kind of job knows no more than that."""
    own = Checks(there.way.host.name)
    for item in there.items:
        with own.check(f"{item.name} whole", item.cause) as measured:
            measured(there.places[item.name].path)
            state = there.state(item)
            faults = [*(f"{name}: missing" for name in state.lacking),
                      *(f"{name}: another file" for name in state.differing)]  # fmt: skip
            if faults:
                more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
                raise ThunderError(f"{faults[0]}{more}")
    advise(there, own)
    checks.rows += own.rows
    checks.causes += own.causes


def is_cold(checks: Checks) -> bool:
    """Say whether a check failed for what bringing files can mend."""
    return not {*_COLD}.isdisjoint(checks.causes)


def mend(there: HostInputs, checks: Checks) -> bool:
    """Bring what the host lacks, if that is wanted; says whether anything was brought."""
    done: list[str] = []
    if not (there.brings and there.runtime.get("mend")):
        return False
    with checks.check(MENDED, "environment") as measured:
        for item in there.items:
            name = f"{item.name} {item.label}"
            there.say(f"host {there.way.host.name}: looking what it lacks of {name}")
            before = there.bring(item)
            if not before.is_whole:
                text = f"{name} {_brought(before)}, {wording.count(len(before.lacking), 'file')}"
                there.say(f"host {there.way.host.name}: {text}")
                done.append(text)
        measured("; ".join(done))
    return bool(done)


def advise(there: HostInputs, checks: Checks) -> None:
    """Say with what is cold which command brings it."""
    advice = f"; bring it: {sync.command_for(there.runtime, checks.host)}"
    failed = [row for row in checks.rows if row["status"] == "FAIL"]
    for row, cause in zip(failed, checks.causes, strict=True):
        if cause in _COLD:
            row["reason"] += advice


def _brought(before: sync.State) -> str:
    return "is there" if before.is_whole else f"brought, {megabytes(before.bytes)}"
