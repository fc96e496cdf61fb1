"""Which rows belong together: those that share a text, or a value of a column."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from thunder.ground.errors import ThunderError
from thunder.lanes.asr.data import pairs
from thunder.language import spelling

if TYPE_CHECKING:
    from datasets import Dataset


def of(rows: "Dataset", by: str) -> list[int]:
    """Return a label for every row; rows of one label must not be parted.

    Args:
        by: `text`: two rows that have the same text in any script are of one group, and so is
            whatever one of them shares with a third. Else the column that `pairs.load` put into
            `group`.
    """
    if by == "text":
        return _joined(len(rows), (_keys(rows, name) for name in pairs.scripts(rows)))
    values = list(rows["group"])
    if any(value is None for value in values):
        raise ThunderError(f"split.by: the rows were read without the column {by!r}", "crash")
    return _joined(len(rows), [values])


def unseen(
    ids: Mapping[str, Sequence[str]], references: Mapping[str, str], form: spelling.Script
) -> frozenset[str]:
    """Return the ids of valid and test whose reference no row of train has.

    Of references, as texts that differ in one script can be bridged to one text of the other.

    Args:
        ids: those of the parts of a split.
        references: texts by id.
    """
    seen = {key(references[feat_id], form) for feat_id in ids["train"]}
    others = [*ids["valid"], *ids["test"]]
    return frozenset(name for name in others if key(references[name], form) not in seen)


def key(text: str, script: spelling.Script) -> str:
    """Return what two texts share when they count as the same; two that are scored alike do."""
    return spelling.group_key(spelling.scored(text, script, spelling.MAIN), script)


def _keys(rows: "Dataset", script: str) -> list[str | None]:
    # Not by the alphabet of a job: all jobs of a data set must part its rows alike.
    form = spelling.form(script, None if script in pairs.BILINGUAL else "plain")
    return [None if text is None else key(text, form) for text in rows[script]]


def _joined(count: int, columns: Iterable[Sequence[str | None]]) -> list[int]:
    """Return the label of each row, the least row that it is tied to (union and find)."""
    parent = list(range(count))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for keys in columns:
        first: dict[str, int] = {}
        for row, key in enumerate(keys):
            if key is not None:
                low, high = sorted((root(first.setdefault(key, row)), root(row)))
                parent[high] = low
    return [root(row) for row in range(count)]
