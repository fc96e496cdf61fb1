from pathlib import Path

import pytest
from projects import Project

from thunder.config import compose as configs
from thunder.config import origin, sources
from thunder.config.plain import leaves

SECTIONS = """\
a: 1
b:
  c: 2
  d:
    - x: 1
      y: 2
    - x: 3
e: {f: 4}
"""


def test_every_key_of_a_file_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(SECTIONS)
    assert {key: line for key, line, _ in origin.lines(path)} == {
        ("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "d"): 4, ("b", "d", 0): 5,
        ("b", "d", 0, "x"): 5, ("b", "d", 0, "y"): 6, ("b", "d", 1): 7, ("b", "d", 1, "x"): 7,
        ("e",): 8, ("e", "f"): 8,
    }  # fmt: skip


def test_the_last_file_that_sets_a_key_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("a: {b: 1, c: 2}\n")
    second.write_text("\n\nb: 3\n")
    origins = origin.of_files([(first, ""), (second, "a")])
    assert origins[("a", "b")] == f"{second}:3"
    assert origins[("a", "c")] == f"{first}:1"


def test_a_reference_has_the_origins_of_what_it_points_to(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("site:\n  model:\n    layers: 4\nmodel: ${site.model}\n")
    origins = origin.of_files([(path, "")])
    assert origins[("model",)] == f"{path}:4"
    assert origin.find(origins, ("model", "layers")) == f"{path}:3"


def test_what_is_set_behind_a_reference_shows_through_it(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("site:\n  model:\n    layers: 4\n    width: 2\nmodel: ${site.model}\n")
    origins = origin.of_files([(path, "")])
    origin.put(origins, ("site", "model", "layers"), "word")
    assert origin.find(origins, ("model", "layers")) == "word"
    assert origin.find(origins, ("model", "width")) == f"{path}:4"
    origin.put(origins, ("model", "width"), "nearer word")
    assert origin.find(origins, ("model", "width")) == "nearer word"
    origin.put(origins, ("model",), "whole")
    assert origin.find(origins, ("model", "layers")) == "whole"


def test_references_in_a_circle_end(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("a: ${b}\nb: ${a}\n")
    assert origin.find(origin.of_files([(path, "")]), ("a", "x")) == f"{path}:1"


def test_the_last_scalar_of_a_key_is_told(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("a:\n  b: ???\nc: {d: 1}\ne: ???\n")
    second.write_text("a: {b: 2}\nc: ???\ne: {f: 3}\n")
    assert origin.scalars([(first, ""), (second, "")]) == {
        ("a", "b"): "2", ("c",): "???", ("e", "f"): "3",
    }  # fmt: skip


def test_a_missing_key_is_placed_at_the_section_around_it() -> None:
    assert origin.find({("a",): "here", ("a", "b"): "there"}, ("a", "z", 0)) == "here"
    assert origin.find({("a",): "here"}, ("b",)) is None
    assert origin.find({("a", "b", "c"): "word"}, ("a",)) == "word"


def test_a_word_that_replaces_a_section_is_the_origin_of_all_of_it() -> None:
    origins: origin.Origins = {("a",): "1", ("a", "b"): "2", ("a", "c"): "3", ("d",): "4"}
    origin.put(origins, ("a",), "word")
    assert origins == {("a",): "word", ("d",): "4"}
    origin.put(origins, ("d", "e"), "other")
    assert origin.find(origins, ("d",)) == "other"


def test_a_place_is_as_short_as_it_can_be_typed(project: Project) -> None:
    assert origin.shown(project.conf / "profile" / "mine.yaml") == "conf/profile/mine.yaml"
    assert origin.shown(Path("/elsewhere/x.yaml")) == "/elsewhere/x.yaml"


@pytest.mark.parametrize("profile", ["partial_real_stage1_stable", "dry"])
def test_what_a_composition_merged_is_what_hydra_says_it_would_merge(profile: str) -> None:
    choices = {"profile": profile, "site": "local"}
    composed, computed = sources.sources(), sources.sources()
    configs.compose(choices, composed)
    assert composed.layers == {tuple(choices.items()): configs.origins_list(choices, computed)}


def test_the_origins_of_a_profile_name_the_file_of_every_leaf() -> None:
    places = sources.sources()
    choices = {"profile": "partial_real_stage1_stable"}
    origins = origin.of_files(configs.origins_list(choices, places))
    config = configs.compose(choices, places).fill({})
    without = {key for key, _ in leaves(config) if not (origin.find(origins, key) or "").strip()}
    assert without == set()
    assert "conf/site/local.yaml:" in (origin.find(origins, ("data", "source", "rows")) or "")
    assert "partial_real_stage1_stable.yaml:" in (origin.find(origins, ("train", "steps")) or "")
