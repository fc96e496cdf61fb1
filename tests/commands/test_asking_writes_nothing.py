"""Planning and showing leave outputs/ as it is; a run of a matrix alone keeps its plan."""

from pathlib import Path

import pytest
from projects import Project

from thunder.commands import launch, tasks
from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.jobs import inputs
from thunder.runner import plans
from thunder.runs import store

QUESTION = "profile: mine\naxes: {seed: [0, 1]}\ntable: {metrics: [value]}\n"
EDITED = QUESTION.replace("0, 1", "1, 2")


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return inode, size and time of everything in a folder, the folder as well."""
    stats = {str(path): path.lstat() for path in [folder, *folder.rglob("*")] if path.exists()}
    return {path: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def ask(*words: str) -> None:
    assert tasks.main([*words, "--config-dir", "conf"]) in (0, 1), words


def plan_and_show(project: Project, *ids: str) -> None:
    """Ask everything that is no run and makes no page, of a matrix and of runs."""
    for name in ("question", "mine", "nothing_of_that_name"):
        for task in ("plan", "status", "why"):
            ask(task, name)
            ask(task, name, "seed=1", "--json")
    for words in (["verify"], ["table", "question", "--check"], ["status"], ["check"]):
        ask(*words)
    for one in ids:
        for words in (["show", one], ["verify", one], ["diff", one, ids[0]], ["report", one]):
            ask(*words)
    for words in (["matrix=question"], ["+profile=mine"], ["matrix=question", "force=true"]):
        assert launch.run(project.read(*words, "dry_run=true")) == 0
    assert launch.run(project.read("+profile=mine", "seed=1,2", "dry_run=true", sweep=True)) == 0


def run(project: Project, *words: str) -> int:
    return launch.run(project.read("matrix=question", *words))


def seeds_of_last_plan(outputs: Path) -> list[int]:
    plan = plans.read(outputs, "question")
    assert plan is not None
    return [cell["seed"] for cell in plan["cells"]]


@pytest.mark.slow
def test_planning_and_showing_make_no_outputs(project: Project) -> None:
    project.matrix(QUESTION)
    before = listing(project.root)
    plan_and_show(project)
    assert not Path("outputs").exists()
    assert listing(project.root) == before


@pytest.mark.slow
def test_planning_and_showing_write_nothing(project: Project) -> None:
    project.matrix(QUESTION)
    assert run(project) == 0
    ask("table", "question")
    project.matrix(EDITED)
    before = listing(Path("outputs"))
    plan_and_show(project, *(one.id for one in store.all_runs(Path("outputs"))))
    assert listing(Path("outputs")) == before


def test_the_digest_of_a_large_folder_alone_is_remembered(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_LARGE_BYTES", 1)
    project.write("data/train.jsonl", '{"messages": []}\n')
    data = [f"data.source.folder={project.root / 'data'}", "data=folder"]
    ask("plan", "partial_real_stage1_stable", *data)
    kept = [path for path in Path("outputs").rglob("*") if path.is_file()]
    assert {path.parent for path in kept} == {Path("outputs/cache/digests")}
    before = listing(Path("outputs"))
    ask("plan", "partial_real_stage1_stable", *data)
    assert listing(Path("outputs")) == before


def test_a_run_of_a_matrix_keeps_what_was_run(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.matrix(QUESTION)
    assert run(project) == 0
    project.matrix(EDITED)
    capsys.readouterr()
    for _ in range(2):
        assert run(project, "dry_run=true") == 0
        assert "since the last plan: 1 added, 1 kept, 1 orphaned\n" in capsys.readouterr().out
    assert seeds_of_last_plan(Path("outputs")) == [0, 1]
    assert run(project) == 0
    assert seeds_of_last_plan(Path("outputs")) == [1, 2]


def test_a_matrix_that_is_reached_needs_no_room_for_its_plan(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.matrix(QUESTION)
    assert run(project) == 0
    plans.path_of(Path("outputs"), "question").unlink()
    Path("outputs/plans").rmdir()
    Path("outputs/plans").write_text("no folder")
    capsys.readouterr()
    assert run(project) == 0
    printed = capsys.readouterr().out
    where = project.root / "outputs"
    assert f"the plan cannot be written into {where}: File exists" in printed
    assert "question: 2 reached" in printed
    project.matrix(EDITED)
    assert running_fails(project) == f"the plan cannot be written into {where}: File exists"
    assert len(store.all_runs(Path("outputs"))) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": 1}', "[" * 100_000])
def test_a_broken_plan_is_a_memory_lost_and_bars_nothing(
    project: Project, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    project.matrix(QUESTION)
    assert run(project) == 0
    path = plans.path_of(Path("outputs"), "question")
    path.write_text(content)
    capsys.readouterr()
    assert tasks.main(["plan", "question", "--config-dir", "conf"]) == 0
    out = capsys.readouterr().out
    assert f"not compared with the last plan: {path}: " in out
    assert "since the last plan" not in out
    assert path.read_text() == content
    assert run(project) == 0
    out = capsys.readouterr().out
    assert f"not compared with the last plan: {path}: " in out
    assert "question: 2 reached" in out
    assert plans.read(Path("outputs"), "question") is not None


def running_fails(project: Project) -> str:
    with pytest.raises(ThunderError) as raised:
        run(project)
    assert raised.value.cause == "write"
    return str(raised.value)


@pytest.mark.parametrize("name", ["../evil", "../plans/../../evil", "/{root}/evil", "plans/evil"])
def test_a_path_is_no_name_of_a_plan(
    project: Project, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    project.matrix(QUESTION)
    assert run(project) == 0
    plan = plans.path_of(Path("outputs"), "question").read_text(encoding="utf-8")
    for place in ("evil.json", "outputs/evil.json", "outputs/plans/plans/evil.json"):
        files.write_text(project.root / place, plan)
    name = name.replace("/{root}", str(project.root))
    capsys.readouterr()
    for task in ("plan", "status", "why", "table", "verify"):
        assert tasks.main([task, name, "--config-dir", "conf"]) == 1
        assert f"{name!r}: a name is needed, not a path" in capsys.readouterr().err
    assert plans.read(Path("outputs"), name) is None
    with pytest.raises(ThunderError, match="a name is needed"):
        plans.path_of(Path("outputs"), name)
