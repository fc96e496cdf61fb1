"""What is compared when a text is scored: the three variants of both scripts."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thunder.ground.errors import ThunderError
from thunder.language import sentences, spelling

INVISIBLE = "\u200e\u200f\u061c\u202a\u202e\u2066\u2069\ufeff\u200b\u00ad\u2060"


@pytest.mark.parametrize(
    ("script", "text", "norm", "toneless"),
    [
        ("latin", "A bɛ  KƆ́,\tN'a!", "a bɛ kɔ́ n’a", "a bɛ kɔ n’a"),
        ("latin", "ɲɛ-ɲɛ – “b’a” y' a -", "ɲɛ-ɲɛ b’a y a", "ɲɛ-ɲɛ b’a y a"),
        ("latin", "b`a b´a bʼa b‘a b′a bʔa", "b’a b’a b’a b’a b’a b’a", "b’a b’a b’a b’a b’a b’a"),
        ("latin", "aŉA", "a’na", "a’na"),
        ("latin", "ß\u07f2\u030c-u", "sš\u07f2u", "ss\u07f2u"),
        ("latin", "ɲɛ\u2010ɲɛ ɲɛ\u2011ɲɛ", "ɲɛ-ɲɛ ɲɛ-ɲɛ", "ɲɛ-ɲɛ ɲɛ-ɲɛ"),
        ("latin", "à â ǎ á ɛ̀ ŋ̌ ǹ ü ã ç", "à â ǎ á ɛ̀ ŋ̌ ǹ ü ã ç", "a a a a ɛ ŋ n ü ã ç"),
        ("latin", "'a' 10-20 a_b a.b", "a 10-20 ab ab", "a 10-20 ab ab"),
        ("nko", "ߞߊ߬ߙߊ߲߬ ߸ ߦߋ߫؟", "ߞߊ߬ߙߊ߲߬ ߦߋ߫", "ߞߊߙߊ߲ ߦߋ"),
        ("nko", "ߣ'ߊ ߣʔߊ ߣߴߊ ߓ' ߛߓߍߵ", "ߣߴߊ ߣߊ ߣߴߊ ߓ ߛߓߍߵ", "ߣߊ ߣߊ ߣߊ ߓ ߛߓߍ"),
        ("nko", "ߢߐߺߢߐ ߢߍ-ߢߍ", "ߢߐߢߐ ߢߍߢߍ", "ߢߐߢߐ ߢߍߢߍ"),
        ("nko", "ߊ߫ߊ߬ߊ߭ߊ߮ߊ߯ߊ߰ߊ߱ߊ߲", "ߊ߫ߊ߬ߊ߭ߊ߮ߊ߯ߊ߰ߊ߱ߊ߲", "ߊߊߊߊߊߊߊߊ߲"),
        # The dot that makes another letter of a consonant is no tone: g is not gb.
        ("nko", "ߜ߭ߊ ߖ߭ߊ߭ ߒ߭ ߜ߳ߊ", "ߜ߭ߊ ߖ߭ߊ߭ ߒ߭ ߜ߳ߊ", "ߜ߭ߊ ߖ߭ߊ ߒ ߜ߳ߊ"),
        ("nko", "u\u07eb\u0301", "u\u07eb\u0301", "ú"),
        ("nko", "ߴ ߊ߫", "ߴ ߊ߫", "ߊ"),
        ("nko_bridged", "ߜߊ߭ ߣʔߊ", "ߜߊ߭ ߣߊ", "ߜߊ ߣߊ"),
        ("nko", "߁߂ A v", "߁߂ a v", "߁߂ a v"),
    ],
)
def test_golden_texts(script: str, text: str, norm: str, toneless: str) -> None:
    """May change only together with SCORED_VERSION."""
    assert spelling.SCORED_VERSION == 1
    assert spelling.scored(text, script, "norm") == norm
    assert spelling.scored(text, spelling.script(script), "toneless") == toneless


@pytest.mark.parametrize(
    ("normaliser", "text", "norm", "toneless"),
    [
        ("plain", "L'Été à  Œuvres-les-Bains !", "l’été à œuvres-les-bains", None),
        ("plain", "«Мой» – дом…", "мой дом", None),
        ("plain", "Straße, ẸE\u0301", "strasse ẹé", None),
        ("latin", "L'Été", "l’été", "l’ete"),
        ("nko", "ߞߊ߬ߙߊ߲߬ ߸", "ߞߊ߬ߙߊ߲߬", "ߞߊߙߊ߲"),
    ],
)
def test_a_script_of_ones_own_has_the_rules_of_its_normaliser(
    normaliser: str, text: str, norm: str, toneless: str | None
) -> None:
    form = spelling.form("mine", normaliser)
    assert spelling.scored(text, form, "norm") == norm
    assert spelling.scored(text, form, "toneless") == (norm if toneless is None else toneless)
    assert form.name == "mine"


def test_an_unknown_normaliser_is_named() -> None:
    with pytest.raises(ThunderError, match="no normaliser 'odd'; there is nko, latin, plain"):
        spelling.form("mine", "odd")


@pytest.mark.parametrize("script", ["nko", "latin"])
def test_raw_is_nfc_and_nothing_else(script: str) -> None:
    text = " E\u0301 ,\u200f ߊ߲߫ "
    assert spelling.scored(text, script, "raw") == " É ,\u200f ߊ߲߫ "


@pytest.mark.parametrize("mark", INVISIBLE, ids=ascii)
@pytest.mark.parametrize(("script", "word"), [("nko", "ߞߊ"), ("latin", "ka")])
def test_invisible_marks_are_no_characters(mark: str, script: str, word: str) -> None:
    for variant in ("norm", "toneless"):
        hidden = f"{mark}{word[0]}{mark}{word[1]} {mark}{word}"
        assert spelling.scored(hidden, script, variant) == f"{word} {word}"
    assert mark in spelling.scored(f"{word}{mark}", script, "raw")


def test_unknown_scripts_and_variants_are_refused() -> None:
    with pytest.raises(ThunderError, match="no variant 'nrom' of a text; there is raw, norm, ton"):
        spelling.scored("a", "latin", "nrom")
    with pytest.raises(ThunderError, match="no script 'arabic'; there is latin, nko, nko_bridged"):
        spelling.scored("a", "arabic", "raw")


_CHARS = st.one_of(
    st.characters(codec="utf-8"),
    st.sampled_from("abɛɔ ’'‘-‐_,.\u200f\u200b\u0300\u0301\u030cŉİßߊߋߒߜߞߴߵ߲߫߬߭߳ߺ"),
)


@pytest.mark.slow
@settings(max_examples=300)
@given(text=st.text(_CHARS, max_size=12), script=st.sampled_from(sorted(spelling.SCRIPTS)))
def test_scoring_a_scored_text_changes_nothing(text: str, script: str) -> None:
    for variant in spelling.VARIANTS:
        once = spelling.scored(text, script, variant)
        assert spelling.scored(once, script, variant) == once
        assert once == unicodedata.normalize("NFC", once)
        assert spelling.scored(unicodedata.normalize("NFD", text), script, variant) == once
    assert spelling.scored(once, script, "norm") == once  # toneless is a form of norm
    assert once == " ".join(once.split())


@pytest.mark.parametrize("script", ["nko", "latin"])
def test_a_test_split_is_normalised_in_seconds(script: str) -> None:
    texts = sentences.generate(2000, 0, script)
    begun = time.process_time()
    for variant in spelling.VARIANTS:
        for text in texts:
            spelling.scored(text, script, variant)
    # 29,060 rows, both sides: 0.6 s when a core is free; a busy one may take ten times that.
    assert (time.process_time() - begun) * 2 * 29060 / len(texts) < 6
