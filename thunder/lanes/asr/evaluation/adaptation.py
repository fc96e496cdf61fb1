"""The passes besides the main one: fast weights off or out of order, and SUTA."""

from dataclasses import dataclass
from typing import Literal

from thunder.lanes.asr.artifacts import PASSES
from thunder.lanes.asr.model.definitions import flags

SUTA = "suta"


@dataclass(frozen=True)
class Pass:
    """One way to recognise a split.

    Args:
        column: its name under `adaptation` in results.json.
        suffix: of the dump, `test_predictions<suffix>.jsonl`.
        ttt: what the model is told to do with its fast weights, if it has any.
        adapted: what the rows say of themselves: none, ttt, suta.
        most: rows that are recognised, the first by id; None: all.
    """

    column: str
    suffix: str
    ttt: Literal["on", "off", "shuffled"]
    adapted: str
    most: int | None = None


_OFF = Pass("off", PASSES["off"], "off", "none")


def main(mode: str) -> Pass:
    """Return the pass that a mode is meant for: the numbers of the run are of it."""
    adapted = "ttt" if flags(mode).use_ttt else "none"
    return Pass("on", "", "on", adapted)


def of_valid(mode: str) -> tuple[Pass, ...]:
    """Return the other passes over valid: what fast weights change is to be seen before test is."""
    return (_OFF,) if flags(mode).use_ttt else ()


def others(mode: str, suta_rows: int) -> tuple[Pass, ...]:
    """Return the other passes over test.

    SUTA is on top of the mode's own pass; with `suta_rows` 0 it is left out.
    """
    passes: tuple[Pass, ...] = ()
    if flags(mode).use_ttt:
        passes += (_OFF, Pass("shuffled", PASSES["shuffled"], "shuffled", "ttt"))
    if suta_rows:
        passes += (Pass(SUTA, PASSES[SUTA], "on", SUTA, most=suta_rows),)
    return passes
