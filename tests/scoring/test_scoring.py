"""Edits of rows and the error rates of them all, by hand and against a plain Levenshtein."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thunder.ground.errors import ThunderError
from thunder.language import bridge, spelling
from thunder.scoring import VARIANTS, bridged, counts, edits, summary
from thunder.scoring.score import Counts, part, rates

_TEXTS = st.text(alphabet="abcɛ ߊߓ߲߬", max_size=9)
_LETTERS = st.text(alphabet="abcɛߊߓ ", max_size=9)


def _levenshtein(first: str | list[str], second: str | list[str]) -> int:
    """The textbook's dynamic programme (Wagner and Fischer 1974)."""
    row = list(range(len(second) + 1))
    for i, one in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


@given(first=_TEXTS, second=_TEXTS)
def test_distance_is_levenshteins_and_symmetric(first: str, second: str) -> None:
    assert edits.distances([first], [second]).tolist() == [_levenshtein(first, second)]
    assert edits.distances([second], [first]).tolist() == [_levenshtein(first, second)]
    words = first.split(), second.split()
    assert edits.word_distances([words[0]], [words[1]]).tolist() == [_levenshtein(*words)]


@given(one=_TEXTS, two=_TEXTS, three=_TEXTS)
def test_distance_obeys_the_triangle(one: str, two: str, three: str) -> None:
    there, back, straight = edits.distances([one, two, one], [two, three, three]).tolist()
    assert straight <= there + back
    assert (there == 0) == (one == two)


@given(reference=_TEXTS, hypothesis=_TEXTS)
def test_an_alignment_spells_both_texts(reference: str, hypothesis: str) -> None:
    alignment = edits.alignment(reference, hypothesis)
    assert "".join(part for _, part, _ in alignment) == reference
    assert "".join(part for _, _, part in alignment) == hypothesis
    for op, left, right in alignment:
        assert (op == "equal") == (left == right)
        assert (op == "insert") == (left == "")
        assert (op == "delete") == (right == "")
        assert op in edits.OPS


@given(reference=_LETTERS, hypothesis=_LETTERS)
def test_where_clusters_are_characters_an_alignment_has_the_edits_of_the_distance(
    reference: str, hypothesis: str
) -> None:
    alignment = edits.totals([edits.alignment(reference, hypothesis)])
    assert alignment["substitute"] + alignment["insert"] + alignment["delete"] == _levenshtein(
        reference, hypothesis
    )
    assert alignment["equal"] + alignment["substitute"] + alignment["delete"] == len(reference)


def test_an_alignment_keeps_a_letter_with_its_marks() -> None:
    assert edits.alignment("ߞߊ߲߬ ߓߍ", "ߞߊ ߓߍߙ") == [
        ("equal", "ߞ", "ߞ"),
        ("substitute", "ߊ߲߬", "ߊ"),
        ("equal", " ", " "),
        ("equal", "ߓ", "ߓ"),
        ("equal", "ߍ", "ߍ"),
        ("insert", "", "ߙ"),
    ]
    assert edits.alignment("", "") == []


def test_totals_are_over_all_rows() -> None:
    totals = edits.totals([edits.alignment("ab", "a"), edits.alignment("a", "xa")])
    assert totals == {"equal": 2, "substitute": 0, "insert": 1, "delete": 1}


def test_micro_and_macro_by_hand() -> None:
    # 1 edit of 2, 0 of 9, 1 of 0: micro 2/11, macro (1/2 + 0 + 1)/3, median 1/2.
    rates = summary(counts(["ab", "ka taa so", ""], ["ax", "ka taa so", "u"], "latin", "norm"))
    assert rates == {
        "rows": 3,
        "edits": 2,
        "ref_chars": 11,
        "cer_micro": 2 / 11,
        "cer_macro": pytest.approx(0.5),
        "cer_median": 0.5,
        "wer_micro": 2 / 4,
        "exact": pytest.approx(1 / 3),
    }


def test_an_empty_reference_is_right_when_nothing_was_heard_and_else_wholly_wrong() -> None:
    silent = counts(["", "", "..."], ["", "ab", "!"], "latin", "norm")
    assert silent.edits.tolist() == [0, 2, 0]
    assert rates(silent.edits, silent.chars).tolist() == [0, 1, 0]
    assert summary(silent)["cer_micro"] == 1
    assert summary(part(silent, np.array([0, 2])))["cer_micro"] == 0
    assert summary(silent)["cer_macro"] == pytest.approx(1 / 3)


def test_an_error_rate_can_exceed_one() -> None:
    assert summary(counts(["a"], ["xyz"], "latin", "raw"))["cer_micro"] == 3


def test_without_rows_there_are_no_rates() -> None:
    rates = summary(counts([], [], "nko", "norm"))
    assert rates["rows"] == rates["edits"] == 0
    assert {
        rates[key] for key in ("cer_micro", "cer_macro", "cer_median", "wer_micro", "exact")
    } == {None}


def test_variants_see_what_they_should() -> None:
    reference, hypothesis = "Kà taa, n'a!", "ka taa n’a"
    by_variant = {v: int(counts([reference], [hypothesis], "latin", v).edits[0]) for v in VARIANTS}
    assert by_variant == {"raw": 5, "norm": 1, "toneless": 0}


def test_edits_are_of_characters_and_a_mark_is_one() -> None:
    counted = counts(["ߞߊ߲߬"], ["ߞߊ"], "nko", "norm")
    assert (counted.edits.tolist(), counted.chars.tolist()) == ([2], [4])
    assert counted.edits.dtype == counted.words.dtype == np.int64


def test_every_row_needs_both_texts() -> None:
    with pytest.raises(ThunderError, match="2 references and 1 hypotheses; each row needs both"):
        counts(["a", "b"], ["a"], "latin", "norm")


@pytest.mark.parametrize("version", bridge.VERSIONS)
def test_latin_hypotheses_are_scored_in_the_letters_of_nko(version: str) -> None:
    latin = ["n'a ye kɔnɔ dɔn", "gbɛ shɛ zan"]
    references = [bridge.to_nko(text, version) for text in latin]
    heard = [spelling.scored(text, "latin", "norm") for text in latin]
    for variant in VARIANTS:
        assert bridged(references, heard, version, variant).edits.tolist() == [0, 0]
    wrong = bridged(references, ["n’a ye kɔnɔ dɔ", "bɛ sɛ san"], version, "norm")
    # v1 cannot tell g from gb, nor s from sh and z: its target is easier.
    assert wrong.edits.tolist() == ([1, 1] if version == "v1_compat" else [1, 4])


def test_part_takes_masks_and_indices() -> None:
    counted = counts(["a", "b", "c"], ["a", "x", "c"], "latin", "norm")
    by_mask = part(counted, np.array([False, True, True]))
    assert isinstance(by_mask, Counts)
    assert by_mask.edits.tolist() == part(counted, np.array([1, 2])).edits.tolist() == [1, 0]
