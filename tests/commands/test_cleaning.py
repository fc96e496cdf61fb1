"""What is removed on hosts is proven home, file by file; everything else is kept, and said why."""

from pathlib import Path

import pytest
import running
from far_runs import Away
from lab import Lab

from thunder.commands.tasks.machines import hosts
from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.runs import store

pytestmark = pytest.mark.slow


@pytest.fixture
def away(lab: Lab, tmp_path: Path) -> Away:
    project = Away(lab, tmp_path, "mac4")
    assert running.thunder(*project.words("+profile=dry")).returncode == 0
    return project


def clean(away: Away, capsys: pytest.CaptureFixture[str], *, yes: bool) -> str:
    ask(away, "mac4", yes=yes)
    return capsys.readouterr().out


def ask(away: Away, host: str, *, yes: bool = False) -> None:
    places = {"outputs": str(away.outputs), "config_dir": str(away.conf)}
    hosts.function(action="clean", host=host, yes=yes, site="lab", **places)


def test_a_run_that_is_proven_home_is_removed_when_it_is_said_so(
    lab: Lab, away: Away, capsys: pytest.CaptureFixture[str]
) -> None:
    name, there = away.run().folder.name, away.there(lab["mac4"])
    shown = clean(away, capsys, yes=False)
    assert f"dry/{name}" in shown
    assert "1 run, 0.0 MB could be removed: add --yes" in shown
    assert there.is_dir()
    assert "mac4" in files.read_json(away.run().folder / "mirror.json")["hosts"]
    assert "1 run, 0.0 MB removed" in clean(away, capsys, yes=True)
    assert not there.exists()
    assert files.read_json(away.run().folder / "mirror.json")["hosts"] == {}
    assert store.verify(away.run()) == []
    assert "0 runs, 0.0 MB removed" in clean(away, capsys, yes=True)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda here, there: (there / "more.txt").write_text("x"), "more.txt is not here as it is"),
        (lambda here, there: (there / "run.log").write_text("x"), "run.log is not here as it is"),
        (lambda here, there: (here / "run.log").write_text("x"), "here, run.log: 1 bytes"),
        (lambda here, there: (here / "manifest.json").unlink(), "manifest.json: missing"),
        (lambda here, there: here.rename(here.with_name("other")), "no run of that name in"),
    ],
    ids=["more there", "other there", "other here", "no proof here", "not here"],
)
def test_what_is_not_proven_home_is_kept(
    lab: Lab, away: Away, capsys: pytest.CaptureFixture[str], spoil: object, why: str
) -> None:
    here, there = away.run().folder, away.there(lab["mac4"])
    spoil(here, there)  # type: ignore[operator]
    shown = clean(away, capsys, yes=True)
    assert "kept: " in shown
    assert why in shown
    assert "0 runs, 0.0 MB removed" in shown
    assert there.is_dir()


def test_nothing_is_removed_where_a_run_goes_on(
    lab: Lab, away: Away, capsys: pytest.CaptureFixture[str]
) -> None:
    there = away.there(lab["mac4"])
    process = running.begin(
        *away.words("+profile=dry", "dry.value=60", "dry.sleep_seconds=0.2", "seed=1"),
        lane="counting",
    )
    running.wait_for(lambda: list(away.outputs.glob("dry/*/.away.json")), "a claim")
    running.wait_for(lambda: len(list(there.parent.glob("*/.away/*/events.jsonl"))) == 2, "a run")
    assert "goes on there" in clean(away, capsys, yes=True)
    assert there.is_dir()
    process.terminate()
    running.ended(process)
    (name,) = [run.folder.name for run in store.all_runs(away.outputs) if run.status() != "done"]
    assert away.task("stop", name).returncode == 0


def test_a_host_that_is_unknown_or_out_of_reach_is_told(
    lab: Lab, away: Away, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ThunderError, match=r"has no host 'mac6' \(did you mean"):
        ask(away, "mac6")
    away.site("nowhere", hosts={"nowhere": {}})
    ask(away, "", yes=True)
    assert "no machine of that name" in capsys.readouterr().out
