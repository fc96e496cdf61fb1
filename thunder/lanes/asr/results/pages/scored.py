"""The test dumps of a run as a page needs them: scored, with labels, without telemetry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thunder.ground.errors import ThunderError
from thunder.lanes.asr import artifacts
from thunder.language import spelling
from thunder.runs import proof
from thunder.runs.run import Run
from thunder.scoring import Counts, counts, dumps, edits
from thunder.scoring.score import rates

PREDICTIONS, REFERENCES = artifacts.predictions("test"), artifacts.references("test")


@dataclass(frozen=True)
class Scored:
    """The rows of test in order of their ids, scored in one variant."""

    dump: dumps.Dump
    counts: Counts
    variant: str

    @property
    def rates(self) -> npt.NDArray[np.float64]:
        """The CER of each row."""
        return rates(self.counts.edits, self.counts.chars)

    def alignment(self, index: int) -> list[edits.Edit]:
        """Return how the hypothesis of a row comes from its reference."""
        texts = (self.dump.references[index], self.dump.hypotheses[index])
        return edits.alignment(
            *(spelling.scored(text, self.dump.form, self.variant) for text in texts)
        )


def read(run: Run, variant: str) -> Scored:
    """Read and score the test dumps of a proven run."""
    path = run.folder / PREDICTIONS
    dump = dumps.read(path, run.folder / REFERENCES)
    if dump.labels["model_run_id"] != run.id:
        named = dump.labels["model_run_id"] or "several runs"
        raise ThunderError(f"{path}: its rows are of {named}, not of {run.id}", "verification")
    return Scored(dump, counts(dump.references, dump.hypotheses, dump.form, variant), variant)


def rows_of(run: Run, ids: set[str]) -> dict[str, Mapping[str, Any]]:
    """Return whole rows of the predictions by id; all of them at once would be large."""
    path = run.folder / PREDICTIONS
    return {row["feat_id"]: row for row in proof.rows(path) if row["feat_id"] in ids}
