from pathlib import Path

import pytest
from projects import Project

from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.runner import plans
from thunder.runs.cells import how_far

BASE = "profile: mine\naxes:\n  seed: [0, 1, 2]\n"


def plan(project: Project, outputs: Path, text: str) -> dict[str, object]:
    project.matrix(text)
    request = project.read("matrix=question", f'outputs="{outputs}"')
    assert request.matrix is not None
    planned = how_far(request.cells, outputs)
    return plans.document(request.matrix, planned, [None] * len(planned))


def test_an_edit_adds_keeps_and_orphans_cells(project: Project, outputs: Path) -> None:
    first = plan(project, outputs, BASE)
    plans.write(outputs, first)
    second = plan(project, outputs, BASE.replace("0, 1, 2", "2, 1, 3"))
    found = plans.changes(plans.read(outputs, "question"), second)
    seeds = {word: [cell["cell"]["seed"] for cell in cells] for word, cells in found.items()}
    assert seeds == {"added": [3], "kept": [2, 1], "orphaned": [0]}


def test_without_an_earlier_plan_everything_is_added(project: Project, outputs: Path) -> None:
    assert plans.read(outputs, "question") is None
    found = plans.changes(None, plan(project, outputs, BASE))
    assert [len(found[word]) for word in ("added", "kept", "orphaned")] == [3, 0, 0]


def test_a_changed_profile_orphans_every_cell(project: Project, outputs: Path) -> None:
    first = plan(project, outputs, BASE)
    second = plan(project, outputs, BASE + "set: {dry.value: 5}\n")
    found = plans.changes(first, second)
    assert [len(found[word]) for word in ("added", "kept", "orphaned")] == [3, 0, 3]


def test_windows_of_one_job_are_cells_of_their_own(project: Project, outputs: Path) -> None:
    text = "profile: smoke\naxes: {target: [2, 4]}\nset: {window: 2}\n"
    first = plan(project, outputs, text)
    second = plan(project, outputs, text.replace("2, 4", "4"))
    found = plans.changes(first, second)
    assert [cell["target"] for cell in found["orphaned"]] == [2]
    assert [cell["target"] for cell in found["kept"]] == [4]


def test_a_plan_on_disk_is_the_plan(project: Project, outputs: Path) -> None:
    found = plan(project, outputs, BASE)
    path = plans.write(outputs, found)
    assert path == outputs / "plans" / "question.json"
    assert plans.read(outputs, "question") == found


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 1}'])
def test_a_broken_plan_is_told_with_what_to_do(outputs: Path, text: str) -> None:
    files.write_text(plans.path_of(outputs, "question"), text)
    with pytest.raises(ThunderError, match=r"question\.json.*move it away to plan afresh"):
        plans.read(outputs, "question")
