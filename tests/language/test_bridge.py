"""The two bridges from Latin to N'Ko, letter by letter, and the way from one to the other."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thunder.ground.errors import ThunderError
from thunder.language import bridge, sentences, spelling

V1, V2 = bridge.VERSIONS

# The tables of ALA-LC and KNAB; golden, they may not change while the version keeps its name.
STANDARD = {
    "a": "07CA", "e": "07CB", "i": "07CC", "ɛ": "07CD", "u": "07CE", "o": "07CF", "ɔ": "07D0",
    "b": "07D3", "p": "07D4", "t": "07D5", "j": "07D6", "c": "07D7", "d": "07D8", "r": "07D9",
    "rr": "07DA", "s": "07DB", "sh": "07DB 07ED", "gb": "07DC", "g": "07DC 07ED",
    "kp": "07DC 07F3", "f": "07DD", "v": "07DD 07ED", "k": "07DE", "kh": "07DE 07ED",
    "l": "07DF", "m": "07E1", "ɲ": "07E2", "ny": "07E2", "n": "07E3", "h": "07E4", "w": "07E5",
    "y": "07E6", "ŋ": "07E2 07ED", "z": "07D6 07ED", "ə": "07CB 07F3", "ü": "07CE 07F3",
}  # fmt: skip

# What the public bridge writes instead; golden for ever.
PUBLIC = {
    "a": "07CA", "e": "07CD", "i": "07CC", "ɛ": "07D0", "u": "07CE", "o": "07CB", "ɔ": "07CF",
    "b": "07D3", "p": "07D4", "t": "07D5", "j": "07D6", "c": "07D7", "d": "07D8", "r": "07D9",
    "rr": "07DA", "s": "07DB", "sh": "07DB", "gb": "07DC", "g": "07DC", "f": "07DD", "k": "07DE",
    "l": "07DF", "m": "07E1", "ɲ": "07E2", "ny": "07E2", "n": "07E3", "h": "07E4", "w": "07E5",
    "y": "07E6", "ŋ": "07E7", "ng": "07E7", "nk": "07E7 07DE", "z": "07DB", "v": "0076",
    "kh": "0078", "ch": "07D7", "dj": "07D6", "q": "07DE", "x": "07DE 07DB", "ph": "07DD",
}  # fmt: skip


def _text(codes: str) -> str:
    return "".join(chr(int(code, 16)) for code in codes.split())


@pytest.mark.parametrize(("latin", "codes"), STANDARD.items(), ids=STANDARD)
def test_the_standard_bridge_follows_the_published_table(latin: str, codes: str) -> None:
    is_vowel = latin[0] in "aeiɛuoɔəü"
    written = bridge.to_nko(latin if is_vowel else f"{latin}a", V2)
    assert written == _text(codes) + ("" if is_vowel else "ߊ")


@pytest.mark.parametrize(("latin", "codes"), PUBLIC.items(), ids=PUBLIC)
def test_the_compatible_bridge_follows_the_public_one(latin: str, codes: str) -> None:
    assert bridge.to_nko(latin, V1) == _text(codes)


@pytest.mark.parametrize(
    ("latin", "public", "standard"),
    [
        ("ye", "ߦߍ", "ߦߋ"),  # the word that shows the permuted vowels
        ("bɛ kɔ", "ߓߐ ߞߏ", "ߓߍ ߞߐ"),
        ("den", "ߘߍߣ", "ߘߋ߲"),  # a nasal coda: a letter, or the mark
        ("denke", "ߘߍߧߞߍ", "ߘߋ߲ߞߋ"),
        ("manga", "ߡߊߧߊ", "ߡߊ߲ߜ߭ߊ"),
        ("n'a b'a", "ߣʔߊ ߓʔߊ", "ߣߴߊ ߓߴߊ"),
        ("kan'a", "ߞߊߣʔߊ", "ߞߊߣߴߊ"),  # the lost vowel keeps n an onset
        ("n bɛ", "ߣ ߓߐ", "ߒ ߓߍ"),  # I am: a nasal that is a syllable
        ("nba", "ߣߓߊ", "ߒߓߊ"),
        ("denna", "ߘߍߣߣߊ", "ߘߋ߲ߠߊ"),  # n after a nasal is another letter
        ("kanɲa", "ߞߊߣߢߊ", "ߞߊ߲ߧߊ"),
        ("kɔnyɔ", "ߞߏߢߏ", "ߞߐߢߐ"),  # ny is one letter, no nasal before y
        ("taa", "ߕߊߊ", "ߕߊߊ"),
        ("àlá", "ߊ߬ߟߊ߫", "ߊߟߊ"),  # tone: the public bridge maps it, the standard one drops it
        ("Sɛbɛn, KAƝA!", "ߛߐߓߐߣ߸ ߞߊߢߊ߷", "ߛߍߓߍ߲߸ ߞߊߢߊ߹"),
        ("1960?", "߁߉߆߀?", "߁߉߆߀؟"),
        ("ɲɛ-ɲɛ", "ߢߐߺߢߐ", "ߢߍ-ߢߍ"),
        ("gbɛ zan", "ߜߐ ߛߊߣ", "ߜߍ ߖ߭ߊ߲"),
        ("bãn", "ߓߊ߳ߣ", "ߓߊ߲"),
        ("", "", ""),
    ],
)
def test_golden_words_of_both_bridges(latin: str, public: str, standard: str) -> None:
    assert bridge.to_nko(latin, V1) == public
    assert bridge.to_nko(latin, V2) == standard


@pytest.mark.parametrize("apostrophe", "'’‘ʼ`´")
def test_every_apostrophe_is_one_apostrophe(apostrophe: str) -> None:
    assert bridge.to_nko(f"b{apostrophe}a", V1) == "ߓʔߊ"
    assert bridge.to_nko(f"b{apostrophe}a", V2) == "ߓߴߊ"
    assert bridge.to_nko(f"b{apostrophe} {apostrophe}a{apostrophe}", V2) == "ߓ ߊ"


@pytest.mark.parametrize("version", bridge.VERSIONS)
def test_what_has_no_letter_stays_to_be_counted(version: str) -> None:
    assert bridge.to_nko("ж漢\U0001f600", version) == "ж漢\U0001f600"


def test_an_unknown_bridge_is_refused() -> None:
    with pytest.raises(ThunderError, match="no bridge 'none'; there is v1_compat, v2_standard"):
        bridge.to_nko("a", "none")


def test_sentences_are_bridged_into_letters_of_nko_alone() -> None:
    nko = spelling.script("nko")
    for text in sentences.generate(300, 0, "latin"):
        for version in bridge.VERSIONS:
            made = spelling.scored(bridge.to_nko(text, version), nko, "norm")
            left = made.replace("v", "") if version == V1 else made  # the public one has no v
            assert spelling.purity(left, nko) == 1, text


@given(text=st.text(alphabet=st.sampled_from("aeiouɛɔəbcdfghjklmnɲŋprstvwyzáǹãü’'-,.?! 01AƝ\n")))
def test_the_standard_bridge_is_normal_and_blind_to_case_and_tone(text: str) -> None:
    made = bridge.to_nko(text, V2)
    assert made == unicodedata.normalize("NFC", made)
    assert made == bridge.to_nko(text.upper().lower(), V2)
    assert made == bridge.to_nko(text.replace("a", "à"), V2)
    assert not any(char.isalpha() and "LATIN" in unicodedata.name(char) for char in made)
    assert bridge.to_nko(unicodedata.normalize("NFD", text), V2) == made
