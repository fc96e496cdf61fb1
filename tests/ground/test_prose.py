import pytest

from thunder.ground.prose import is_prose


@pytest.mark.parametrize(
    "name",
    [
        "README",
        "readme.txt",
        "README-fr.html",
        "LICENSE",
        "a/LICENCE-APACHE",
        "NOTICE",
        "x.md",
        "x.PDF",
    ],
)
def test_what_is_written_for_people_is_told_by_its_name(name: str) -> None:
    assert is_prose(name)


@pytest.mark.parametrize(
    "name",
    [
        "audio/readme.wav", "audio/license_01.flac", "features/notice.pt", "pairs.jsonl",
        "chat_template.jinja", "vocab.txt", "merges.txt", "notes.md/x.wav", "readmes", "model.py",
    ],
)  # fmt: skip
def test_what_a_loader_may_open_is_never_taken_for_prose(name: str) -> None:
    assert not is_prose(name)
