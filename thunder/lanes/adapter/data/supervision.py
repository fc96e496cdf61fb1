"""What rows of tokens must be to be trained on: ids that the model has, answers that are learnt."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from thunder.ground import wording
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.adapter.model.vocabulary import Vocabulary

SHOWN = 5
# The tokens of a row, and the first that is supervised.
Tokens = tuple[list[int], int]
Rows = Mapping[int, Tokens]
Line = Callable[[int], int]


def refuse_unknown_ids(
    split: str, rows: Rows, line: Line, vocabulary: Vocabulary | None, tokenizer: Any
) -> None:
    """Raise Faults if a row has an id that the model has not: whatever lies there would be read.

    Args:
        rows: by number.
        line: gives the line of a row in its file.
    """
    if vocabulary is None:
        return
    size = vocabulary.size
    beyond = [n for n, (ids, _) in rows.items() if ids and not 0 <= min(ids) <= max(ids) < size]
    faults = []
    for number in beyond[:SHOWN]:
        token = next(token for token in rows[number][0] if not 0 <= token < size)
        spelling = _spelled(tokenizer, token)
        faults.append(f"{split}.jsonl:{line(number)}: token {spelling} has the id {token}")
    if faults:
        title = f"the tokenizer has ids that the model has not: {vocabulary.place}"
        raise Faults(title, wording.some_lines(faults, SHOWN, len(beyond)), "model")


def refuse_nothing_learnt(split: str, rows: Rows, line: Line, answers: Iterable[str]) -> None:
    """Raise if a row has no supervised token, or all have the same ones to unlike answers."""
    empty = [number for number, (ids, start) in rows.items() if len(ids) <= start]
    if empty:
        places = [f"line {line(number)}" for number in empty]
        raise ThunderError(
            f"{split}.jsonl: nothing is supervised in {len(empty)} of {len(rows)} rows "
            f"({wording.some(places, SHOWN)}): "
            "the chat template writes no assistant turn there",
            "model",
        )
    learnt = {tuple(ids[start:]) for ids, start in rows.values()}
    if len(learnt) == 1 and len(set(answers)) > 1:
        raise ThunderError(
            f"{split}.jsonl: nothing of an answer is supervised in {len(rows)} rows: "
            "the chat template writes the same assistant turn into all of them",
            "model",
        )


def without_end(rows: Iterable[Tokens], ends: set[int]) -> int:
    """Return how many rows do not teach where an answer ends."""
    return sum(ids[-1] not in ends for ids, _ in rows)


def no_end_warning(counts: Mapping[str, Mapping[str, int]]) -> str | None:
    """Return what to say of rows whose turns do not end, if there are any."""
    open_turns = {split: count["without_end"] for split, count in counts.items()}
    if not any(open_turns.values()):
        return None
    rows = " and ".join(f"{n} of {counts[s]['rows']} {s} rows" for s, n in open_turns.items() if n)
    return (
        f"no end is learnt in {rows}: the chat template writes no end token after the assistant's "
        "turn, so what is generated may never stop"
    )


def _spelled(tokenizer: Any, token: int) -> str:
    try:
        return repr(tokenizer.convert_ids_to_tokens(token))
    except (OverflowError, IndexError, TypeError, ValueError):  # no id of any token
        return "of no name"
