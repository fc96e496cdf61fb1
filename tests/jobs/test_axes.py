"""Axes on which several keys move together, conditions on cells, how many cells there may be."""

import itertools
import time
from typing import Any

import pytest
from projects import DRY, Project

from thunder.commands import launch
from thunder.ground.errors import ThunderError
from thunder.jobs import axes
from thunder.jobs import matrix as matrices
from thunder.runner import plans

TOGETHER = """\
# Does the rate need its warm-up?
profile: smoke
axes:
  "train.learning_rate, train.warmup_fraction": [[3e-4, 0.5], [1e-4, 0.2]]
  seed: [1, 2]
"""


def cells(project: Project, text: str, *words: str) -> list[dict[str, Any]]:
    project.matrix(text)
    return [cell.coordinates for cell in project.read("matrix=question", *words).cells]


def fault(project: Project, text: str, *words: str) -> str:
    project.matrix(text)
    with pytest.raises(ThunderError) as caught:
        project.read("matrix=question", *words)
    return str(caught.value)


def test_keys_that_move_together_are_set_together(project: Project) -> None:
    points = cells(project, TOGETHER)
    rate, warmup = "train.learning_rate", "train.warmup_fraction"
    assert points == [
        {rate: a, warmup: b, "seed": seed}
        for (a, b), seed in itertools.product([(3e-4, 0.5), (1e-4, 0.2)], [1, 2])
    ]
    configs = [cell.job.config["train"] for cell in project.read("matrix=question").cells]
    assert [(c["learning_rate"], c["warmup_fraction"]) for c in configs[::2]] == [
        (3e-4, 0.5),
        (1e-4, 0.2),
    ]
    label = project.read("matrix=question").cells[0].label
    assert label == "train.learning_rate=0.0003 train.warmup_fraction=0.5 seed=1"


def test_a_cell_has_its_id_however_its_matrix_is_written(project: Project) -> None:
    cells(project, TOGETHER)
    together = [cell.job.id for cell in project.read("matrix=question").cells]
    rows = (
        "axes: {seed: [1, 2], train.learning_rate: [3e-4, 1e-4], train.warmup_fraction: [0.5, 0.2]}"
    )
    only = "only: [{train.learning_rate: 3e-4, train.warmup_fraction: 0.5}]"
    cells(project, f"profile: smoke\n{rows}\n{only}\n")
    assert [cell.job.id for cell in project.read("matrix=question").cells] == together[:2]


def test_groups_move_together(project: Project) -> None:
    project.write("conf/model/small.yaml", "name: gemma4_e2b\nsource: ${runtime.site.models.x}\n")
    text = "profile: smoke\naxes: {'model, data': [[gemma4_e2b, partial_real], [gemma4_e2b, synt"
    points = cells(project, text + "hetic_2k]], seed: [1]}\n")
    assert [point["data"] for point in points] == ["partial_real", "synthetic_2k"]
    chosen = [cell.job.config["data"]["name"] for cell in project.read("matrix=question").cells]
    assert chosen == ["partial_real", "synthetic_2k"]


def test_only_keeps_what_matches_one_of_its_patterns(project: Project) -> None:
    text = "profile: mine\naxes: {seed: [1, 2, 3], dry.value: [1, 2]}\n"
    only = "only: [{seed: 1}, {seed: 2, dry.value: 2}]\n"
    kept = [(1, 1), (1, 2), (2, 2)]
    assert [(*p.values(),) for p in cells(project, text + only)] == kept
    excluded = text + only + "exclude: [{seed: 1, dry.value: 2}]\ninclude: [{seed: 9}]\n"
    assert [(*p.values(),) for p in cells(project, excluded)] == [(1, 1), (2, 2), (9,)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[1e-4, 0.2]", "[1e-4]", "question.yaml:4: axes.train.learning_rate, train.warmup_fracti"),
        ("[1e-4, 0.2]", "[1, 2, 3]", "question.yaml:4: axes: [1, 2, 3] has not one value for each"),
        ("[1e-4, 0.2]", "3", "question.yaml:4: axes.train.learning_rate, train.warmup_fraction[1]"),
        ("[1e-4, 0.2]", "[1e-4, two]", "question.yaml:4: train.warmup_fraction: 'two' is a string"),
        ("train.warmup_fraction", "train.warmup_fractoin", "question.yaml:4: train.warmup_fractoi"),
        ("train.warmup_fraction", "", "question.yaml:4: '' is not a key"),
        ("train.warmup_fraction", "seed", "question.yaml:4: axes: seed is an axis twice"),
        ("train.warmup_fraction", "jobs", "question.yaml:4: jobs holds for all cells"),
        ("train.warmup_fraction", "data", "question.yaml:4: data: no data '0.5'; conf/data/ has"),
        ("seed: [1, 2]\n", "seed: [1, 2]\nset: {train.warmup_fraction: 1}\n",
         "question.yaml:6: set: 'train.warmup_fraction' is an axis as well"),
        ("seed: [1, 2]\n", "seed: [1, 2]\nonly: [{sede: 1}]\n",
         "question.yaml:6: only {'sede': 1}: 'sede' is not an axis (did you mean 'seed'?); axes: "
         "train.learning_rate, train.warmup_fraction, seed"),
        ("seed: [1, 2]\n", "seed: [1, 2]\nonly: [{seed: 3}]\n",
         "question.yaml:6: only {'seed': 3} matches no cell; was the axis edited?"),
        ("seed: [1, 2]\n", "seed: [1, 2]\nexclude: [{train.learning_rate: 3e-4, "
         "train.warmup_fraction: 0.2}]\n", "matches no cell; was the axis edited?"),
        ("seed: [1, 2]\n", "seed: [1, 2]\nonly: []\nexclude: [{seed: 1}]\n",
         "matrix 'question' has no cell left; see its only and exclude"),
        ("seed: [1, 2]\n", "seed: [1, 2]\nonly: {seed: 1}\n", "question.yaml:6: only: {'seed': 1}"),
        ("seed: [1, 2]\n", "seed: [[1, 2]]\n", "question.yaml:5: axes.seed[0]: [1, 2] is a list, "),
    ],
)  # fmt: skip
def test_a_mistake_in_an_axis_is_told_with_its_line(
    project: Project, old: str, new: str, message: str
) -> None:
    assert old in TOGETHER
    assert message in fault(project, TOGETHER.replace(old, new))


def test_a_key_that_moves_with_another_is_an_axis_of_its_own_everywhere(project: Project) -> None:
    project.matrix(TOGETHER)
    assert "'train.warmup_fraction' is an axis of matrix" in fault(
        project, TOGETHER, "train.warmup_fraction=3"
    )
    request = project.read("matrix=question")
    assert request.matrix is not None
    assert [*request.matrix.axes] == ["train.learning_rate", "train.warmup_fraction", "seed"]
    plan = launch.prospect(request).plan
    assert plan is not None
    assert plan["cells"][0]["cell"] == request.cells[0].coordinates
    plans.write(request.outputs, plan)
    assert (plans.read(request.outputs, "question") or {})["matrix"] == request.matrix.spec
    origins = matrices.origins_of(request.cells[2], request.matrix, request.words, request.places)
    assert str(origins["train", "warmup_fraction"]).endswith("question.yaml:4")


def test_the_points_of_the_axes_are_those_of_a_plain_product() -> None:
    spec = {"axes": {"a": [1, 2], "b, c": [[1, "x"], [2, "y"]], "d": [None, True]}}
    expected = [
        {"a": a, "b": b, "c": c, "d": d}
        for a, (b, c), d in itertools.product([1, 2], [(1, "x"), (2, "y")], [None, True])
    ]
    assert list(axes.points(spec)) == expected
    assert axes.count(spec) == len(expected)


# How many cells ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["seed=range(1,1000000000)"], "999,999,999"),
        (["seed=range(0,1000000000,0.5)"], "2,000,000,000"),
        (["seed=shuffle(range(1,1000000000))"], "999,999,999"),
        (["seed=range(0,20001)"], "20,001"),
        (["seed=range(0,200)", "dry.value=range(0,200)"], "40,000"),
        (["seed=range(0,200)", "dry.value=range(0,200)", "max_cells=39999"], "40,000"),
    ],
)
def test_more_cells_than_can_be_meant_are_refused_at_once(
    project: Project, words: list[str], count: str
) -> None:
    begun = time.perf_counter()
    with pytest.raises(ThunderError) as caught:
        project.read("+profile=mine", *words, sweep=True)
    assert time.perf_counter() - begun < 5
    assert f"{count} " in str(caught.value)
    assert f"max_cells={count.replace(',', '')} allows these" in str(caught.value)


def test_what_is_left_of_too_many_is_not_looked_for(project: Project) -> None:
    numbers = list(range(1000))
    text = f"profile: mine\naxes: {{seed: {numbers}, dry.value: {numbers}, dry.sleep_seconds: "
    text += f"{numbers}, target: {numbers}}}\nonly: [{{seed: 999, dry.value: 999}}]\n"
    begun = time.perf_counter()
    assert "spans 1,000,000,000,000 cells" in fault(project, text)
    assert time.perf_counter() - begun < 5


def test_a_profile_can_lower_the_bound(project: Project) -> None:
    project.profile(DRY + "runtime: {max_cells: 2}\n")
    assert "3 cells; 2 is the most" in fault(project, "profile: mine\naxes: {seed: [1, 2, 3]}\n")


def test_an_option_lifts_the_bound(project: Project) -> None:
    text = "profile: mine\naxes: {seed: [1, 2, 3]}\n"
    assert "spans 3 cells; 2 is the most" in fault(project, text, "max_cells=2")
    assert len(cells(project, text, "max_cells=3")) == 3
    assert len(cells(project, text + "set: {max_cells: 3}\n")) == 3
    assert "spans 3 cells; 2 is the most" in fault(project, text + "set: {max_cells: 2}\n")
    ids = [cell.job.id for cell in project.read("matrix=question", "max_cells=3").cells]
    assert ids == [c.job.id for c in project.read("matrix=question", "max_cells=9").cells]
    assert "runtime.max_cells: 0 is less than the minimum of 1" in fault(
        project, text, "max_cells=0"
    )


def test_the_owner_of_a_machine_sets_the_bound_for_it(project: Project) -> None:
    project.write("conf/local.yaml", "runtime: {max_cells: 2}\n")
    text = "profile: mine\naxes: {seed: [1, 2, 3]}\n"
    assert "spans 3 cells; 2 is the most" in fault(project, text)
    with pytest.raises(ThunderError, match="3 values; 2 is the most"):
        project.read("+profile=mine", "seed=range(0,3)", sweep=True)
    assert len(cells(project, text, "max_cells=3")) == 3


def test_a_range_without_a_step_is_told(project: Project) -> None:
    with pytest.raises(ThunderError, match="the step of a range cannot be 0"):
        project.read("+profile=mine", "seed=range(1,5,0)", sweep=True)
