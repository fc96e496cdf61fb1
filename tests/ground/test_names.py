"""A name that becomes part of a path is one part of it."""

import pytest

from thunder.ground import names
from thunder.ground.errors import Faults, ThunderError


@pytest.mark.parametrize("name", ["a", "a b", "ߒߞߏ", "a.b", "-m", "sweep_1234", "..."])
def test_a_name_is_taken_as_it_is(name: str) -> None:
    assert names.check(name, "matrix") == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../../evil", "matrix '../../evil': a name is needed, not a path"),
        ("/etc/passwd", "matrix '/etc/passwd': a name is needed, not a path"),
        ("a\\b", "a name is needed, not a path"),
        (".", "a name is needed, not a path"),
        ("..", "a name is needed, not a path"),
        ("", "matrix '': a name is needed"),
        ("a\x00b", "a name has no control characters"),
        ("a\nb", "a name has no control characters"),
        ("a\x1b[2J", r"matrix 'a\x1b[2J': a name has no control characters"),
        ("a\udcff", "a name has no control characters"),
        ("a" * 201, "a name has 200 bytes at most"),
        ("ߒ" * 101, "a name has 200 bytes at most"),
    ],
)
def test_a_name_that_is_none_is_refused(name: str, message: str) -> None:
    with pytest.raises(ThunderError) as caught:
        names.check(name, "matrix")
    assert message in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_paths_that_stay_in_their_folder_are_taken_as_they_are() -> None:
    names.check_inside(["a", "a/b..c", "..a", "./a", "ߒߞߏ/.b"], "host mac4")


@pytest.mark.parametrize("path", ["/a", "..", "../a", "a/../../b", "a/..", "", ".", "a\0b"])
def test_a_path_that_leads_out_of_its_folder_is_refused(path: str) -> None:
    with pytest.raises(Faults, match="host mac4: a path there leads out") as refused:
        names.check_inside(["a", path], "host mac4")
    assert refused.value.faults == [repr(path)]
