"""Which rows a page shows: the worst, the typical, and some that chance chose."""

from collections.abc import Sequence

import numpy as np

from thunder.ground import draws
from thunder.lanes.asr.labels import LABELS
from thunder.lanes.asr.results.pages.scored import Scored

TITLES = {
    "edits": "most edits",
    "cer": "highest CER",
    "typical": "around the median",
    "sample": "drawn by chance",
    "each": "drawn from each partition",
}
_LEAST_OF_PARTITION = 3


def choose(scored: Scored, rows: int, seed: str) -> dict[str, list[int]]:
    """Return the indices of the rows of each selection, by the names of TITLES.

    Args:
        rows: how many of each; `each` shares them out, so that no partition is unseen.
        seed: names the draw; the same seed draws the same rows whatever else is shown.
    """
    rates = scored.rates
    edits = scored.counts.edits
    by_edits = np.lexsort((-rates, -edits))  # the last key counts first; what is equal stays by id
    by_rate = np.lexsort((-edits, -rates))
    drawn = _drawn(len(rates), seed)
    return {
        "edits": by_edits[:rows].tolist(),
        "cer": by_rate[:rows].tolist(),
        "typical": _middle(np.lexsort((edits, rates)).tolist(), rows),
        "sample": drawn[:rows],
        "each": _of_each(scored, drawn, rows),
    }


def _drawn(count: int, seed: str) -> list[int]:
    rng = draws.stream("error page", seed)
    keys = [rng.random() for _ in range(count)]
    return sorted(range(count), key=keys.__getitem__)


def _middle(order: Sequence[int], rows: int) -> list[int]:
    first = max(0, (len(order) - rows) // 2)
    return list(order[first : first + rows])


def _of_each(scored: Scored, drawn: Sequence[int], rows: int) -> list[int]:
    labels = scored.dump.partitions
    by_partition = [[index for index in drawn if labels[index] == name] for name in LABELS]
    present = [indices for indices in by_partition if indices]
    share = max(_LEAST_OF_PARTITION, rows // len(present))
    return [index for indices in present for index in indices[:share]]
