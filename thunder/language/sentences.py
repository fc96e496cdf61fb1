"""Practice sentences in Manding word order: words of CLDR in templates, when there is no corpus."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from math import prod
from random import Random

from babel import Locale

from thunder.ground import digest, draws
from thunder.ground.errors import ThunderError
from thunder.language import spelling

REVISION = 2  # raise it when templates or words change: other sentences are another corpus
WORD_CHARS = (2, 11)  # short words keep a row inside a small window of tokens

# Clauses per sentence, drawn evenly: lengths then spread as widely as transcribed speech does
# (half of it below 35 characters, a twentieth above 100), and batching has something to win.
CLAUSES = (1, 1, 1, 1, 1, 1, 2, 2, 2, 3)
JOINTS = {"latin": ("nka", "wa", "sabu", "o kɔ"), "nko": ("ߞߏ߬ߣߌ߲߬", "ߣߌ߫", "ߏ߬ ߞߐ߫", "ߓߊߏ߬")}

LOCALES = {"nko": "nqo", "latin": "bm"}

# Subject, auxiliary, object, verb, the rest; a word in capitals is a slot.
TEMPLATES = {
    "latin": (
        "SUBJECT GO",
        "SUBJECT LIKE SUBJECT ye",
        "SUBJECT GO PLACE",
        "SUBJECT AUX LANGUAGE VERB",
        "SUBJECT AUX LANGUAGE VERB PLACE la",
        "SUBJECT AUX LANGUAGE VERB DAY don",
        "SUBJECT AUX LANGUAGE VERB MONTH kalo la",
        "SUBJECT GO PLACE DAY don",
        "SUBJECT GO PLACE MONTH kalo la",
        "SUBJECT LEAVE PLACE ka taa PLACE",
        "LANGUAGE LIKE SUBJECT ye",
        "LANGUAGE ni LANGUAGE LIKE SUBJECT ye",
        "SUBJECT AUX PLACE wari falen PLACE wari la",
    ),
    "nko": (
        "SUBJECT GO",
        "SUBJECT BE PLACE",
        "SUBJECT GO PLACE",
        "SUBJECT AUX LANGUAGE VERB",
        "SUBJECT BE LANGUAGE VERB ߟߊ߫",
        "SUBJECT AUX LANGUAGE VERB PLACE ߘߐ߫",
        "SUBJECT AUX LANGUAGE VERB DAY",
        "SUBJECT GO PLACE DAY",
        "SUBJECT GO PLACE MONTH ߞߊߙߏ ߟߊ߫",
        "SUBJECT BE PLACE DAY ߣߌ߫ DAY",
        "LANGUAGE LIKE SUBJECT ߦߋ߫",
        "SUBJECT BE PLACE ߘߐ߫ DAY",
        "SUBJECT AUX SCRIPT VERB PLACE ߘߐ߫",
    ),
}
SLOTS = {
    "latin": {
        "SUBJECT": "ne, i, a, an, aw, u, cɛ, muso, den, kalanden, kalandenw, karamɔgɔ, karamɔgɔw, "
        "sɛnɛkɛla, sɛnɛkɛlaw, jagokɛla, jagokɛlaw, dunan, dunanw, terikɛ, dɔgɔmuso, kɔrɔkɛ",
        "AUX": "bɛ, tɛ, ye, ma, bɛna, tɛna",
        "VERB": "kalan, fɔ, mɛn, dɔn, sɛbɛn, lamɛn, kalama",
        "GO": "taara, bɔra, bɛ taa, tɛ taa, ma taa, bɛna taa, sera, bɛ se",
        "LEAVE": "bɔra, bɛ bɔ, tɛ bɔ, ma bɔ, bɛna bɔ, tɛna bɔ",
        "LIKE": "ka di, man di, ka gɛlɛn, man gɛlɛn, ka nɔgɔ, man nɔgɔ",
    },
    "nko": {
        "SUBJECT": "ߒ, ߌ, ߊ߬, ߊ߲, ߊߟߎ߫, ߊ߬ߟߎ߫, ߗߍ߭, ߡߛߏ, ߘߋ߲, ߞߊ߬ߙߊ߲߬ߘߋ߲, ߞߊ߬ߙߊ߲߬ߡߐ߮, ߛߣߍ߬ߞߍ߬ߟߊ, ߖߊ߬ߕߌ߮, ߘߎ߬ߣߊ߲",
        "AUX": "ߞߊ߬, ߡߊ߫, ߘߌ߫, ߕߍߣߊ߬, ߘߌߣߊ߬",
        "BE": "ߦߋ߫, ߕߍ߫",
        "VERB": "ߞߊ߬ߙߊ߲߬, ߝߐ߫, ߡߍ߲߫, ߟߐ߲߫, ߛߓߍ߫, ߦߋ߫",
        "GO": "ߕߊ߯ ߘߊ߫, ߥߊ߫ ߘߊ߫, ߓߐ߫ ߘߊ߫, ߘߌ߫ ߥߊ߫, ߡߊ߫ ߥߊ߫, ߘߌ߫ ߓߐ߫, ߕߍߣߊ߬ ߥߊ߫",
        "LIKE": "ߞߊ߫ ߘߌ߫, ߡߊ߲߬ ߘߌ߫, ߞߊ߫ ߜߟߍ߬, ߡߊ߲߬ ߜߟߍ߬",
    },
}


def generate(count: int, seed: int, script: str) -> list[str]:
    """Return distinct sentences; with one seed, fewer are the first of more."""
    if script not in LOCALES:
        raise ThunderError(f"sentences: no script {script!r}; there is {', '.join(LOCALES)}")
    form = spelling.script(script)
    most = capacity(script) // 4  # beyond it, most draws would be repeats
    if not 1 <= count <= most:
        raise ThunderError(
            f"sentences: {count} asked for in script {script!r}; 1 to {most} can be made", "data"
        )
    slots = _slots(script)
    templates = [template.split() for template in TEMPLATES[script]]
    rng = draws.stream("sentences", script, seed)
    by_key: dict[str, str] = {}
    while len(by_key) < count:
        words = list(_clause(rng, templates, slots))
        for _ in range(draws.pick(rng, CLAUSES) - 1):
            words += [draws.pick(rng, JOINTS[script]), *_clause(rng, templates, slots)]
        sentence = spelling.normalise(" ".join(words), form)
        by_key.setdefault(spelling.group_key(sentence, form), sentence)
    return list(by_key.values())


def _clause(
    rng: Random, templates: Sequence[list[str]], slots: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    for word in draws.pick(rng, templates):
        yield draws.pick(rng, slots[word]) if word in slots else word


def capacity(script: str) -> int:
    """Return how many sentences of one clause the templates can spell."""
    slots = _slots(script)
    return sum(
        prod(len(slots[word]) for word in template.split() if word in slots)
        for template in TEMPLATES[script]
    )


def vocabulary(script: str) -> tuple[str, int]:
    """Return the digest of the templates and words of a script, and how many words there are."""
    slots = {slot: list(words) for slot, words in _slots(script).items()}
    shape = {
        "revision": REVISION,
        "clauses": CLAUSES,
        "joints": JOINTS[script],
        "templates": TEMPLATES[script],
        "slots": slots,
    }
    return digest.of_value(shape), sum(map(len, slots.values()))


def _slots(script: str) -> dict[str, Sequence[str]]:
    own = {slot: words.split(", ") for slot, words in SLOTS[script].items()}
    return {**own, **_cldr(script)}


@cache
def _cldr(script: str) -> dict[str, tuple[str, ...]]:
    """Return the words of CLDR by slot, sorted, so that no order of Babel's shows."""
    locale = Locale(LOCALES[script])
    form = spelling.script(script)
    names = {
        "LANGUAGE": locale.languages.values(),
        "PLACE": locale.territories.values(),
        "SCRIPT": locale.scripts.values(),
        "DAY": locale.days["format"]["wide"].values(),
        "MONTH": locale.months["format"]["wide"].values(),
    }
    return {slot: _clean(words, form) for slot, words in names.items()}


def _clean(words: Iterable[str], form: spelling.Script) -> tuple[str, ...]:
    """Keep single short words of letters and marks; CLDR also has dates, hyphens and slips."""
    low, high = WORD_CHARS
    folded = {unicodedata.normalize("NFC", word).lower() for word in words}
    return tuple(sorted(w for w in folded if low <= len(w) <= high and _is_plain(w, form)))


def _is_plain(word: str, form: spelling.Script) -> bool:
    is_of_script = all(form.pattern.match(char) and not char.isdigit() for char in word)
    repeats_a_mark = any(a == b and spelling.is_mark(a) for a, b in pairwise(word))
    has_apostrophe = any(char in form.punctuation for char in word)
    return not (repeats_a_mark or has_apostrophe or spelling.has_orphan_mark(word)) and is_of_script
