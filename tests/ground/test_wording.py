from thunder.ground.wording import some, some_lines


def test_a_long_list_is_cut_and_says_how_much_is_left() -> None:
    names = [f"n{number}" for number in range(2003)]
    assert some(names, 2) == "n0, n1 and 2,001 more"
    assert some_lines(names, 2) == ["n0", "n1", "… and 2,001 more"]
    assert some_lines(names[:2], 2, len(names)) == ["n0", "n1", "… and 2,001 more"]


def test_a_list_that_fits_is_whole() -> None:
    assert some(["a", "b"], 2) == "a, b"
    assert some_lines(["a", "b"], 2) == ["a", "b"]
    assert some([], 2) == ""
    assert some_lines([], 2) == []
