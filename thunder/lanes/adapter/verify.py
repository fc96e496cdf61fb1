"""Looks at a checkpoint as a stranger would: read again from disk, in a fresh process."""

from math import isclose
from pathlib import Path
from typing import Any

from thunder.ground import run_files
from thunder.ground.errors import Faults
from thunder.lanes.adapter.training import ranks, state
from thunder.lanes.adapter.training.crew import Crew
from thunder.lanes.adapter.training.ranks import Request
from thunder.training import checkpoints, metrics, preflight
from thunder.training.checkpoints import Checkpoint
from thunder.training.events import Emit
from thunder.training.placement import HERE
from thunder.training.preflight import Row

# What another BLAS, processor or number of threads may change.
TOLERANCE = 1e-3


def verify(
    request: Request, step: int, emit: Emit, crew: Crew | None = None, here: str = HERE
) -> list[Row]:
    """Check a checkpoint on disk; return the rows of a table, or raise with the failed ones.

    Args:
        here: the name of this machine.
    """
    folder = checkpoints.folder_of(Path(request.folder), step)
    saved = checkpoints.faults(folder, state.LAYOUT)
    rows = _on(here, _row("checkpoint is what was saved", "sha256", saved))
    if not rows[0]["reason"]:
        checkpoint = checkpoints.load(folder, state.LAYOUT)
        evaluated = ranks.evaluate(request, step, emit, crew)
        rows += _on(here, _row("record is of this job", "its keys", _strange(request, checkpoint)))
        found = _contents(Path(request.folder), checkpoint, evaluated)
        rows += _on(crew.slots[0].host if crew else here, *found)
    if failed := preflight.failed(rows):
        faults = [f"{row['check']}: {row['reason']}" for row in failed]
        raise Faults(f"{folder}: not verified", faults, "verification")
    return rows


def _on(host: str, *rows: Row) -> list[Row]:
    """Return rows of what was looked at on a host."""
    return [{**row, "host": host} for row in rows]


def _strange(request: Request, checkpoint: Checkpoint) -> list[str]:
    """Return what checkpoint.json says that the job did not ask for."""
    config, train = request.config, request.config["train"]
    wanted = {
        "seed": config["seed"],
        "total_steps": train["steps"],
        "strategy": train["strategy"],
        "world_size": train["ranks"],
        "rank_weights": list(train["rank_weights"]),
        "batch_size": train["batch_size"],
        "lora_rank": config["adapter"]["rank"],
        "num_layers": config["adapter"]["layers"],
        "inputs": dict(request.inputs),
        "stand_in": request.stand_in,
    }
    record = checkpoint.record
    return [f"{k} is {record[k]!r}, asked was {v!r}" for k, v in wanted.items() if record[k] != v]


def _contents(run: Path, checkpoint: Checkpoint, evaluated: dict[str, Any]) -> list[Row]:
    step = checkpoint.step
    return [
        _row(
            "step",
            evaluated["step"],
            [f"holds step {evaluated['step']}, not {step}"] if evaluated["step"] != step else [],
        ),
        _row(
            "weights are finite",
            evaluated["finite"],
            [] if evaluated["finite"] else ["a weight is nan or infinite"],
        ),
        _row("weights changed", *_change(run, checkpoint, evaluated)),
        *(
            [_row("validation loss comes back", *_loss(run, checkpoint, evaluated))]
            if evaluated["finite"]
            else []
        ),
    ]


def _change(run: Path, checkpoint: Checkpoint, evaluated: dict[str, Any]) -> tuple[str, list[str]]:
    if checkpoint.step == 0:
        return "not trained yet", []
    if not evaluated["moved"]:
        return "lora_b is zero", ["every lora_b is zero, as before training"]
    name = state.ADAPTERS
    for step in checkpoints.steps(run):
        folder = checkpoints.folder_of(run, step)
        if step >= checkpoint.step or checkpoints.faults(folder, state.LAYOUT):
            continue
        record = checkpoints.read(folder, state.LAYOUT).record
        if record["sha256"][name] == checkpoint.record["sha256"][name]:
            return f"equal to step {step}", [f"the adapters are those of step {step}"]
        return f"differs from step {step}", []
    return "lora_b is not zero", []


def _loss(run: Path, checkpoint: Checkpoint, evaluated: dict[str, Any]) -> tuple[str, list[str]]:
    recorded, again = checkpoint.record["valid_loss"], evaluated["valid_loss"]
    noted = metrics.at_step(run, checkpoint.step, "valid_loss")
    if recorded is None or noted != recorded:
        return f"{again}", [f"{run_files.ROWS} says {noted}, checkpoint.json says {recorded}"]
    old, new = checkpoint.record["fingerprint"], evaluated["fingerprint"]
    if old == new:
        measured = f"{again:.6f}, equal to the bit"
        return measured, [] if again == recorded else [f"recorded {recorded!r}, found {again!r}"]
    measured = f"{again:.6f}, within {TOLERANCE:g} (other machine or BLAS)"
    same = isclose(again, recorded, rel_tol=TOLERANCE)
    return measured, [] if same else [f"recorded {recorded!r}, found {again!r}"]


def _row(check: str, measured: Any, faults: list[str]) -> Row:
    status: preflight.Status = "FAIL" if faults else "PASS"
    return preflight.row(check, "", status, str(measured), "; ".join(faults))
