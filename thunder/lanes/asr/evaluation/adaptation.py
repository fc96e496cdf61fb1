"""The ways to hear test besides the main one: fast weights off or out of order, and SUTA."""

from dataclasses import dataclass
from typing import Literal

from thunder.lanes.asr.model.definitions import flags

SUTA = "suta"


@dataclass(frozen=True)
class Pass:
    """One way to hear a split.

    Args:
        column: its name under `adaptation` in results.json.
        suffix: of the dump, `test_predictions<suffix>.jsonl`.
        ttt: what the model is told to do with its fast weights, if it has any.
        adapted: what the rows say of themselves: none, ttt, suta.
        most: rows that are heard, the first by id; None: all.
    """

    column: str
    suffix: str
    ttt: Literal["on", "off", "shuffled"]
    adapted: str
    most: int | None = None


def main(mode: str) -> Pass:
    """Return the way that a mode is meant to hear: the numbers of the run are of it."""
    adapted = "ttt" if flags(mode).use_ttt else "none"
    return Pass("on", "", "on", adapted)


def others(mode: str, suta_rows: int) -> tuple[Pass, ...]:
    """Return the other ways to hear test (spec §1.4.4).

    SUTA is on top of the mode's own way; with `suta_rows` 0 it is left out.
    """
    found: tuple[Pass, ...] = ()
    if flags(mode).use_ttt:
        found += (
            Pass("off", "_ttt_off", "off", "none"),
            Pass("shuffled", "_ttt_shuffled", "shuffled", "ttt"),
        )
    if suta_rows:
        found += (Pass(SUTA, "_suta", "on", SUTA, most=suta_rows),)
    return found
