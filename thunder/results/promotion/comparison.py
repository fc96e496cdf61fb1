"""Comparisons as the tables of a lane made them: what was compared, by how much it differs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Measure:
    """What a comparison is of, in the words of a lane's promotions; a lane may have several.

    Args:
        name: of the rate that is compared, a fraction.
        unit: what is paired, in the plural.
        least: the key that a record has `Comparison.least` under; None: there is no such thing.
        brought_by: what makes a difference of that size without meaning anything.
    """

    name: str
    unit: str
    least: str | None = None
    brought_by: str | None = None


@dataclass(frozen=True)
class Comparison:
    """One side minus the other, over the same rows.

    Args:
        measure: what is compared.
        table: name of the table that has it.
        label: the first side, as a person reads it.
        reference: the other side.
        rows: how many units both sides have.
        difference: of fractions, first minus reference; `low` and `high` at 95 %.
        p_value_holm: adjusted for the comparisons of its measure that answer one question.
        least: only a difference that is larger counts; None: any does.
        units: how many of what is independent of each other the test is over; None: rows.
        unit: what they are, in the plural; None: what the measure pairs.
        refused: why nothing is claimed of it, whatever the numbers; None: they decide.
    """

    measure: Measure
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
    least: float | None = None
    units: int | None = None
    unit: str | None = None
    refused: str | None = None

    def recorded(self) -> dict[str, Any]:
        """Return it as a record has it: numbers and sides, of the measure its name alone."""
        row = {**asdict(self), "measure": self.measure.name, "unit": self.unit or self.measure.unit}
        least = row.pop("least")
        return {**row, self.measure.least: least} if self.measure.least else row


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
