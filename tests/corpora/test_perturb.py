"""The noise: seeded, in the measured shares, and never an orphan mark."""

import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thunder.corpora import noise, perturb
from thunder.ground import draws
from thunder.language import sentences, spelling

NKO = spelling.script("nko")
LATIN = spelling.script("latin")

_nko_letters = st.sampled_from("ߊߋߌߍߎߏߐߒߓߔߕߖߗߘߙߛߜߝߞߟߡߢߣߤߥߦ")
_nko_marks = st.lists(
    st.sampled_from("\u07eb\u07ec\u07ed\u07ee\u07ef\u07f0\u07f1\u07f2"), max_size=2
)
_nko_clusters = st.builds(lambda letter, marks: letter + "".join(marks), _nko_letters, _nko_marks)
_latin_clusters = st.sampled_from([*"aeiouɛɔbcdfghjklmnɲŋprstwyz", "à", "ɛ̀", "ó", "ɔ̌", "’"])


def _texts(clusters: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    words = st.lists(clusters, min_size=1, max_size=6).map("".join)
    return st.lists(words, min_size=1, max_size=6).map(" ".join)


@given(text=_texts(_nko_clusters), seed=st.integers(0, 999))
def test_noise_in_nko_is_normal_and_leaves_no_orphan_mark(text: str, seed: int) -> None:
    _check_noise(spelling.normalise(text, NKO), seed, NKO)


@given(text=_texts(_latin_clusters), seed=st.integers(0, 999))
def test_noise_in_latin_is_normal_and_leaves_no_orphan_mark(text: str, seed: int) -> None:
    _check_noise(spelling.normalise(text, LATIN), seed, LATIN)


def _check_noise(text: str, seed: int, script: spelling.Script) -> None:
    noisy = perturb.perturb(text, draws.stream(seed), script)
    assert noisy == perturb.perturb(text, draws.stream(seed), script)
    assert noisy.text == unicodedata.normalize("NFC", noisy.text)
    assert noisy.text == spelling.normalise(noisy.text, script)
    assert not spelling.has_orphan_mark(noisy.text) or spelling.has_orphan_mark(text)
    assert (noisy.text == text) == (noisy.ops == ()) == (noisy.edits == 0)
    assert len(noisy.ops) <= perturb.MOST_OPS
    assert noisy.edits == perturb.distance(text, noisy.text)


@pytest.mark.parametrize("name", ["nko", "latin"])
def test_two_of_five_rows_are_copies_and_classes_have_their_shares(name: str) -> None:
    script = spelling.script(name)
    drawn = [
        perturb.perturb(text, draws.stream(text), script)
        for text in sentences.generate(3000, 0, name)
    ]
    copies = sum(1 for noisy in drawn if not noisy.ops)
    assert copies / len(drawn) == pytest.approx(0.4, abs=0.03)
    ops = Counter(op for noisy in drawn for op in noisy.ops)
    total = sum(perturb.ERROR_SHARES.values())
    for kind, share in perturb.ERROR_SHARES.items():
        measured = sum(ops[rule] for rule in perturb.RULES_BY_CLASS[kind]) / ops.total()
        assert measured == pytest.approx(share / total, abs=0.05)
    assert {op for op in ops} == set(noise.RULES)


@pytest.mark.parametrize(
    ("rule", "script", "text", "results"),
    [
        ("vowel_drop", LATIN, "a bɛ", {"a b"}),
        ("vowel_swap", LATIN, "a bɛ", {"a be"}),
        ("vowel_swap", NKO, "ߞߏ߬", {"ߞߐ߬"}),
        ("voicing_swap", LATIN, "dan", {"tan"}),
        ("voicing_swap", NKO, "ߞߊ߲", {"ߜ߭ߊ߲"}),
        ("voicing_swap", NKO, "ߖ߭ߊ", {"ߛߊ"}),
        ("nasal_drop", LATIN, "kana kan", {"kana ka"}),
        ("nasal_drop", NKO, "ߞߊ߲߬", {"ߞߊ߬"}),
        ("syllable_deletion", LATIN, "kalan", {"lan"}),
        ("final_syllable_deletion", LATIN, "kalan ye", {"ka ye"}),
        ("final_syllable_deletion", NKO, "ߡߊ߬ߟߌ߬", {"ߡߊ߬"}),
        ("space_deletion", LATIN, "a ye", {"aye"}),
        ("space_insertion", LATIN, "ye", {"y e"}),
        ("repetition", NKO, "ߞߊ߲߬", {"ߞߞߊ߲߬", "ߞߊ߲߬ߊ߲߬", "ߞߊ߲߬ߞߊ߲߬"}),
    ],
)
def test_a_rule_does_what_its_name_says(
    rule: str, script: spelling.Script, text: str, results: set[str]
) -> None:
    form = unicodedata.normalize("NFC", text)
    spelt = set()
    for seed in range(60):
        changed = noise.RULES[rule](spelling.clusters(form), draws.stream(seed), script)
        if changed is not None:
            spelt.add(unicodedata.normalize("NFC", "".join(changed)))
    assert spelt == {unicodedata.normalize("NFC", result) for result in results}


@pytest.mark.parametrize("rule", sorted(set(noise.RULES) - {"repetition"}))
def test_a_rule_without_a_place_says_so(rule: str) -> None:
    assert noise.RULES[rule](["f"], draws.stream(0), LATIN) is None


def test_noise_never_spells_another_reference() -> None:
    every = {perturb.perturb("a bɛ", draws.stream(seed), LATIN).text for seed in range(200)}
    forbidden = every - {"a bɛ"}
    for seed in range(50):
        noisy = perturb.perturb("a bɛ", draws.stream(seed), LATIN, forbidden)
        assert noisy.text not in forbidden


@pytest.mark.parametrize(
    ("noisy", "label"),
    [
        ("a ye kalan ka", "boundary"),
        ("ka ye kalan kɛ", "boundary"),
        ("a ye kala kɛ", "uncertain"),
        ("a ye kalankɛ", "uncertain"),
        ("a ye kalan kɛkɛkɛ", "uncertain"),
        ("ka ye kalan ka", "uncertain"),
    ],
)
def test_noise_at_one_edge_is_boundary_and_other_noise_uncertain(noisy: str, label: str) -> None:
    reference = "a ye kalan kɛ"
    assert perturb.partition(reference, noisy, perturb.distance(reference, noisy)) == label


@given(st.text("abɛ", max_size=6), st.text("abɛ", max_size=6))
def test_distance_is_symmetric_and_zero_only_for_the_same(left: str, right: str) -> None:
    edits = perturb.distance(left, right)
    assert edits == perturb.distance(right, left)
    assert (edits == 0) == (left == right)
    assert abs(len(left) - len(right)) <= edits <= max(len(left), len(right))


def test_distance_of_known_words() -> None:
    assert perturb.distance("kitten", "sitting") == 3
    assert perturb.distance("", "ab") == 2
