"""The built-in sentences: many, distinct, and the same everywhere."""

import unicodedata

import babel
import pytest

from thunder.ground import digest
from thunder.ground.errors import ThunderError
from thunder.language import sentences, spelling

SCRIPTS = ["nko", "latin"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_thousands_of_sentences_are_distinct_after_normalisation(script: str) -> None:
    form = spelling.script(script)
    made = sentences.generate(3000, 0, script)
    assert len(made) == 3000
    assert len({spelling.group_key(sentence, form) for sentence in made}) == 3000


@pytest.mark.parametrize("script", SCRIPTS)
def test_sentences_are_normal_pure_and_short(script: str) -> None:
    form = spelling.script(script)
    for sentence in sentences.generate(500, 1, script):
        assert sentence == unicodedata.normalize("NFC", sentence)
        assert sentence == spelling.normalise(sentence, form)
        assert spelling.purity(sentence, form) == 1
        assert not spelling.has_orphan_mark(sentence)
        assert 4 <= len(sentence) <= 160


@pytest.mark.parametrize("script", SCRIPTS)
def test_fewer_sentences_are_the_first_of_more(script: str) -> None:
    assert sentences.generate(30, 7, script) == sentences.generate(90, 7, script)[:30]


def test_another_seed_gives_other_sentences() -> None:
    shared = set(sentences.generate(50, 0, "nko")) & set(sentences.generate(50, 1, "nko"))
    assert len(shared) < 5


@pytest.mark.skipif(not babel.__version__.startswith("2.18."), reason="another CLDR in Babel")
def test_sentences_are_pinned() -> None:
    """May change with sentences.REVISION, or when Babel brings a newer CLDR."""
    made = sentences.generate(20, 0, "nko") + sentences.generate(20, 0, "latin")
    assert digest.of_value(made)[:12] == "fde4ac680bad"


@pytest.mark.parametrize("count", [0, -1, 10**9])
def test_a_count_that_cannot_be_made_is_refused(count: int) -> None:
    with pytest.raises(ThunderError, match=r"asked for in script 'nko'; 1 to \d+ can be made"):
        sentences.generate(count, 0, "nko")


def test_an_unknown_script_is_refused() -> None:
    with pytest.raises(ThunderError, match="no script 'thai'; there is nko, latin"):
        sentences.generate(1, 0, "thai")
