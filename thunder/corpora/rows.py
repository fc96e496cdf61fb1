"""Clean sentences to chat rows in three splits: filtered, with noise, without leakage."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from thunder.corpora.corpus import SPLITS
from thunder.corpora.perturb import Noisy, perturb
from thunder.ground import draws
from thunder.language import spelling

REVISION = 1  # raise it when the same sentences give other rows

SPLIT_RULE = "sha256 of the normalised reference, modulo 100: below 80 train, below 90 valid"
CHARS = (4, 160)
LEAST_PURITY = 0.98
DROPS = ("control_character", "orphan_mark", "foreign_script", "too_short", "too_long", "duplicate")
SYSTEM = "Correct the text. Copy it when unsure."

Splits = dict[str, list[dict[str, Any]]]


class Sentence(NamedTuple):
    """One clean text and the name it has where it comes from."""

    feat_id: str
    text: str


def make(source: Iterable[Sentence], script: str, seed: int) -> tuple[Splits, Counter[str]]:
    """Return the rows of every split, in the order of the source, and what was dropped and why."""
    form = spelling.script(script)
    dropped: Counter[str] = Counter()
    kept = list(_clean(source, form, dropped))
    keys = frozenset(spelling.group_key(sentence.text, form) for sentence in kept)
    splits: Splits = {split: [] for split in SPLITS}
    for sentence, noisy in _noisy(kept, form, seed, keys, dropped):
        group = _group(sentence.text, form)
        splits[_split(group)].append(_row(sentence, noisy, form.name, group))
    return splits, dropped


def noisy_text(row: dict[str, Any]) -> str:
    """Return the text that a row asks to correct."""
    return str(row["messages"][-2]["content"]).partition("\n")[2]


def leaks(splits: Splits, script: str) -> dict[str, int]:
    """Count the references of test and valid that train has as reference or as noisy text."""
    form = spelling.script(script)
    groups = {split: {row["meta"]["group"] for row in kept} for split, kept in splits.items()}
    train = groups["train"] | {_group(noisy_text(row), form) for row in splits["train"]}
    return {
        "test_ref_overlap": len(train & groups["test"]),
        "valid_ref_overlap": len(train & groups["valid"]),
    }


def _clean(
    source: Iterable[Sentence], form: spelling.Script, dropped: Counter[str]
) -> Iterator[Sentence]:
    for feat_id, raw in source:
        sentence = spelling.normalise(raw, form)
        reason = _fault(sentence, form)
        if reason:
            dropped[reason] += 1
        else:
            yield Sentence(feat_id, sentence)


def _fault(text: str, form: spelling.Script) -> str | None:
    """Return why a text is left out, the first reason that holds."""
    least, most = CHARS
    faults = {
        "control_character": any(map(spelling.is_control, text)),
        "orphan_mark": spelling.has_orphan_mark(text),
        "too_short": len(text) < least,
        "foreign_script": spelling.purity(text, form) < LEAST_PURITY,
        "too_long": len(text) > most,
    }
    return next((reason for reason, holds in faults.items() if holds), None)


def _noisy(
    kept: Iterable[Sentence],
    form: spelling.Script,
    seed: int,
    keys: frozenset[str],
    dropped: Counter[str],
) -> Iterator[tuple[Sentence, Noisy]]:
    """Yield every sentence with its noise; a repeated sentence gets other noise each time."""
    times: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for sentence in kept:
        rng = draws.stream("noise", seed, times[sentence.text], sentence.text)
        times[sentence.text] += 1
        noisy = perturb(sentence.text, rng, form, keys)
        pair = (noisy.text, sentence.text)
        reason = "duplicate" if pair in seen else _fault(noisy.text, form)
        if reason:
            dropped[reason] += 1
        else:
            seen.add(pair)
            yield sentence, noisy


def _group(text: str, form: spelling.Script) -> str:
    return hashlib.sha256(spelling.group_key(text, form).encode("utf-8")).hexdigest()


def _split(group: str) -> str:
    bucket = int(group, 16) % 100
    return "train" if bucket < 80 else "valid" if bucket < 90 else "test"


def _row(sentence: Sentence, noisy: Noisy, script: str, group: str) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"{noisy.partition}\n{noisy.text}"},
        {"role": "assistant", "content": sentence.text},
    ]
    pair = f"{noisy.text}\n{sentence.text}"
    meta = {
        "feat_id": sentence.feat_id,
        "source": "synthetic",
        "script": script,
        "partition": noisy.partition,
        "edits": noisy.edits,
        "ref_chars": len(sentence.text),
        "ops": list(noisy.ops),
        "group": group,
        "sha": hashlib.sha256(pair.encode("utf-8")).hexdigest(),
    }
    return {"messages": messages, "meta": meta}
