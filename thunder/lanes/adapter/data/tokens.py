"""Tokenising: a corpus through the model's own tokenizer and chat template, once, for all ranks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.ground import wording
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.data import supervision, template, token_rows
from thunder.lanes.adapter.data.supervision import SHOWN, Tokens
from thunder.lanes.adapter.model import tokenizer as tokenizers
from thunder.lanes.adapter.model import vocabulary
from thunder.lanes.adapter.model.vocabulary import Vocabulary

SPLITS = ("train", "valid")
_END_OF_TURN = ("<turn|>", "<end_of_turn>", "<|im_end|>", "<|eot_id|>")


def prepare(
    rows_by_split: Mapping[str, Sequence[Mapping[str, Any]]],
    model_folder: Path,
    sequence_length: int,
    too_long: str,
    target: Path,
) -> dict[str, dict[str, int]]:
    """Write `train.npz` and `valid.npz` into a folder and return what was counted.

    Only the last message is supervised: the assistant's tokens with the end of the turn. A row of
    more tokens than `sequence_length` is dropped and counted, or refused; no row is ever cut short.

    Args:
        too_long: `drop` or `refuse`.
    """
    tokenizer, known = tokenizers.load(model_folder), vocabulary.of(model_folder)
    ends = _end_tokens(tokenizer) | vocabulary.ends(model_folder)
    counts = {}
    for split in SPLITS:
        rows = rows_by_split[split]
        kept = _fitting(split, rows, encode(split, rows, tokenizer), sequence_length, too_long)
        _refuse_useless(split, rows, kept, known, tokenizer)
        packed = token_rows.pack(kept.values())
        token_rows.save(target / f"{split}.npz", packed)
        counts[split] = {
            "rows": len(packed),
            "dropped_too_long": len(rows) - len(packed),
            "tokens": int(packed.lengths.sum()),
            "supervised_tokens": int(packed.supervised.sum()),
            "longest": int(packed.lengths.max()),
            "without_end": supervision.without_end(kept.values(), ends),
        }
    return counts


def _fitting(
    split: str,
    rows: Sequence[Mapping[str, Any]],
    tokenised: Sequence[Tokens],
    sequence_length: int,
    too_long: str,
) -> dict[int, Tokens]:
    """Return the rows that are not too long, by their number; raise by the rule, or if none is."""
    kept = {n: row for n, row in enumerate(tokenised) if len(row[0]) <= sequence_length}
    if len(kept) < len(rows) and too_long == "refuse":
        long = [n for n in range(len(rows)) if n not in kept]
        places = {_line(rows[n], n): len(tokenised[n][0]) for n in long}
        raise ThunderError(_long_rows(split, places, len(rows), sequence_length), "data")
    if not kept:
        raise ThunderError(
            f"{split}: none of the {len(rows)} rows fits into sequence_length {sequence_length}",
            "data",
        )
    return kept


def _refuse_useless(
    split: str,
    rows: Sequence[Mapping[str, Any]],
    kept: Mapping[int, Tokens],
    known: Vocabulary | None,
    tokenizer: Any,
) -> None:
    def line(number: int) -> int:
        return _line(rows[number], number)

    supervision.refuse_unknown_ids(split, kept, line, known, tokenizer)
    answers = (rows[number]["messages"][-1]["content"] for number in kept)
    supervision.refuse_nothing_learnt(split, kept, line, answers)


def _line(row: Mapping[str, Any], number: int) -> int:
    """Return the line of its file that a row stands on; files may have empty ones between."""
    return int(row.get("line", number + 1))


def _long_rows(split: str, places: Mapping[int, int], count: int, limit: int) -> str:
    named = [f"line {line} ({length} tokens)" for line, length in places.items()]
    return (
        f"{split}.jsonl: {len(named)} of {count} rows are longer than sequence_length {limit}: "
        f"{wording.some(named, SHOWN)}; "
        "raise train.sequence_length, shorten the rows, or set data.too_long to 'drop'"
    )


def encode(split: str, rows: Sequence[Mapping[str, Any]], tokenizer: Any) -> list[Tokens]:
    """Return each row's tokens and its first supervised token."""
    talks = {_line(given, number): given["messages"] for number, given in enumerate(rows)}
    for line, talk in talks.items():
        if len(talk) < 2 or talk[-1]["role"] != "assistant":
            raise ThunderError(
                f"{split} line {line}: the last message is not the assistant's", "data"
            )
    if not talks:
        return []
    questions = {line: talk[:-1] for line, talk in talks.items()}
    whole = _tokens(tokenizer, template.texts(split, talks, tokenizer, generation=False))
    prompts = _tokens(tokenizer, template.texts(split, questions, tokenizer, generation=True))
    ends = _end_tokens(tokenizer)
    return [_span(*pair, ends) for pair in zip(whole, prompts, strict=True)]


def _tokens(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    # The template has written the special tokens; a post-processor would double the first one.
    return list(tokenizer(texts, add_special_tokens=False)["input_ids"])


def _end_tokens(tokenizer: Any) -> set[int]:
    candidates = [tokenizer.eos_token_id, *map(tokenizer.convert_tokens_to_ids, _END_OF_TURN)]
    return {token for token in candidates if token is not None and token != tokenizer.unk_token_id}


def _span(whole: list[int], prompt: list[int], ends: set[int]) -> Tokens:
    # A generation prompt may hold more than the row (an empty thought): what they share counts.
    start = _common(whole, prompt)
    # What a template writes after the end of the turn is never generated, so it is not learned.
    last = max((n for n in range(start, len(whole)) if whole[n] in ends), default=len(whole) - 1)
    # The first token is never predicted.
    return whole[: last + 1], max(1, start)


def _common(whole: list[int], prompt: list[int]) -> int:
    if whole[: len(prompt)] == prompt:
        return len(prompt)
    pairs = zip(whole, prompt, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(whole), len(prompt)))
