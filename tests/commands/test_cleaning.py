"""What is removed on hosts is proven home, file by file; everything else is kept, and said why."""

import shutil
from pathlib import Path

import pytest
import running
from far_runs import Away
from lab import Lab

from thunder.commands import main, tasks
from thunder.executors import owner, supplies
from thunder.ground import files
from thunder.hosts import connection, host, provisions
from thunder.runs import store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kept(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """A run that is on a host and here: where it was made, and a copy of each of the two."""
    folder = tmp_path_factory.mktemp("made")
    made = Away(lab, folder / "project", "mac4")
    assert running.thunder(*made.words("+profile=dry")).returncode == 0
    places = {made.outputs: folder / "here", far_outputs(lab): folder / "there"}
    for place, copy in places.items():
        shutil.copytree(place, copy)
    return places


@pytest.fixture
def away(lab: Lab, kept: dict[Path, Path]) -> Away:
    """A project with that run, whatever became of it in an earlier test."""
    outputs = next(iter(kept))
    project = Away(lab, outputs.parent, "mac4")
    for place, copy in kept.items():
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(copy, place)
    return project


def far_outputs(lab: Lab) -> Path:
    return lab["mac4"].home / "thunder/outputs"


def ask(away: Away, *words: str) -> int:
    own = ["site=lab", "--outputs", str(away.outputs), "--config-dir", str(away.conf)]
    return tasks.main(["hosts", "clean", *words, *own])


def clean(away: Away, capsys: pytest.CaptureFixture[str], *, yes: bool) -> str:
    assert ask(away, "mac4", *(["--yes"] if yes else [])) == 0
    return capsys.readouterr().out


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
    away.hold(3)
    process = running.begin(
        *away.words("+profile=dry", "dry.value=20", "dry.sleep_seconds=0.05", "seed=1"),
        lane="counting",
    )
    running.wait_for(lambda: list(away.outputs.glob("dry/[!.]*/.away.json")), "a claim")
    running.wait_for(lambda: len(list(there.parent.glob("*/.away/*/events.jsonl"))) == 2, "a run")
    assert "goes on there" in clean(away, capsys, yes=True)
    assert there.is_dir()
    process.terminate()
    running.ended(process)
    (name,) = [run.folder.name for run in store.all_runs(away.outputs) if run.status() != "done"]
    assert away.task("stop", name).returncode == 0


@pytest.mark.parametrize("moment", [(supplies, "paths"), (owner, "spawn")], ids=["sent", "begun"])
def test_nothing_is_removed_while_a_run_is_on_its_way_there(
    lab: Lab,
    away: Away,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    moment: tuple[object, str],
) -> None:
    there, shown = away.there(lab["mac4"]), list[str]()
    going_on = getattr(*moment)

    def clean_first(*arguments: object) -> object:
        shown.append(clean(away, capsys, yes=True))
        return going_on(*arguments)

    monkeypatch.setattr(*moment, clean_first)
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    assert main.main(away.words("+profile=dry", "seed=1")) == 0
    assert "goes on there" in shown[0]
    assert "0 runs" in shown[0]
    assert there.is_dir()
    assert not list(there.parent.glob(".sending-*"))


def test_what_a_lost_link_left_of_a_window_is_removed_unless_somebody_reads_it(
    lab: Lab, away: Away, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/tokens").write_bytes(b"x" * 300_000)
    with connection.opened(host.of_site(lab.site())["mac4"]) as way:
        place = Path(provisions.bring(way, tmp_path / "rows", "tokens-0123456789ab"))
        assert "kept: somebody reads it" in clean(away, capsys, yes=True)
        assert place.is_dir()
    running.wait_for(lambda: "leftover" in clean(away, capsys, yes=False), "the end of its way")
    shown = clean(away, capsys, yes=False)
    assert f"inputs/{place.name}  0.3 MB  would be removed: of a window that is over" in shown
    assert place.is_dir()
    assert "1 leftover, 0.3 MB removed" in clean(away, capsys, yes=True)
    assert not [path for path in place.parent.iterdir() if "0123456789ab" in path.name]


def test_a_host_that_is_unknown_or_out_of_reach_is_told(
    lab: Lab, away: Away, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(away, "mac6") == 1
    assert "has no host 'mac6' (did you mean" in capsys.readouterr().err
    away.site("nowhere", hosts={"nowhere": {}})
    assert ask(away, "--yes") == 0
    assert "no machine of that name" in capsys.readouterr().out
