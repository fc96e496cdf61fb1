"""Comparisons of error rates as tables made them: what was compared, by how much it differs."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """One side minus the other, over the same utterances.

    Args:
        table: name of the table that has it.
        label: the first side, as a person reads it.
        reference: the other side.
        rows: utterances that both have.
        difference: of fractions, first minus reference; `low` and `high` at 95 %.
        p_value_holm: adjusted for the comparisons of its table.
        bridge_cer: error of the bridge that took part, None without one.
        units: what is independent of each other, and how many of it the test is over; None: rows.
        refused: why nothing is claimed of it, whatever the numbers; None: they decide.
    """

    table: str
    label: str
    reference: str
    runs: Sequence[str]
    rows: int
    difference: float
    low: float
    high: float
    p_value: float
    p_value_holm: float | None
    bridge_cer: float | None = None
    units: int | None = None
    unit: str = "utterances"
    refused: str | None = None


@dataclass(frozen=True)
class Missing:
    """A comparison that a table has room for and no numbers."""

    label: str
    reason: str


@dataclass(frozen=True)
class Comparisons:
    """The comparisons of a matrix."""

    made: Sequence[Comparison] = ()
    missing: Sequence[Missing] = ()
