"""`thunder sync`: what jobs read is brought to the hosts of their site, from where it is whole."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import host_inputs
import pytest
import yaml
from lab import Lab
from projects import Project

from thunder.commands import tasks
from thunder.ground.errors import ThunderError
from thunder.hosts import sync_home
from thunder.hosts.connection import Connection
from thunder.jobs.kinds import KINDS

HUB = ".cache/huggingface/hub/models--org--tiny"
DATA = "sets/rows"
PROFILE = """\
# @package _global_
kind: adapter
model: {name: tiny, source: "${runtime.site.models.tiny}"}
data: {name: rows, source: "${runtime.site.data.rows}", too_long: drop}
adapter: {layers: 2, rank: 2, scale: 20.0, dropout: 0.0}
train: {steps: 4, strategy: data, ranks: 2, rank_weights: [1, 1], batch_size: 1,
  sequence_length: 64, learning_rate: 1e-6, warmup_fraction: 0.1, weight_decay: 0.01,
  clip_norm: 1.0, valid_rows: 4}
"""
WORDS = ("+profile=mine", "site=lab")

Sync = Callable[..., str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of this machine, which has data set and model."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    host_inputs.write_data(tmp_path / "home" / DATA)
    host_inputs.write_model(tmp_path / "home" / Path(HUB).parent)
    return tmp_path / "home"


@pytest.fixture
def sync(
    lab: Lab, here: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> Iterator[Sync]:
    """Run `thunder sync` of a job whose ranks are on mac4 and mac5, which have nothing yet."""
    site = lab.site(
        ranks_on=("mac4", "mac5"),
        data={"rows": {"folder": f"~/{DATA}"}},
        models={"tiny": {"hub": host_inputs.REPOSITORY, "commit": "main"}},
    )
    project.write("conf/site/lab.yaml", f"# @package runtime.site\n{yaml.safe_dump(site)}")
    project.profile(PROFILE)
    for name in lab.machines:
        for folder in (".cache", "sets", "thunder/inputs"):
            shutil.rmtree(lab[name].home / folder, ignore_errors=True)

    def sync(*words: str, code: int = 0) -> str:
        ended = tasks.main(["sync", *WORDS, *words, "--config-dir", str(project.conf)])
        said = capsys.readouterr()
        assert ended == code, said
        return said.out + said.err

    yield sync
    for machine in lab.machines.values():
        deadline = time.monotonic() + 10
        while machine.processes() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert machine.processes() == []


def has(lab: Lab, name: str) -> tuple[bool, bool]:
    """Whether a host has all of the data set, and of the model."""
    data, root = lab[name].home / DATA, lab[name].home / HUB
    snapshot = root / "snapshots" / host_inputs.COMMIT
    lacks = KINDS["adapter"].lacks
    assert {*lacks} == {"data", "model"}
    from thunder.corpora import corpus
    from thunder.lanes.adapter import input_checks

    return corpus.lacks(data) == [], input_checks.model_lacks(snapshot) == []


def test_both_hosts_get_what_they_lack_and_the_second_time_nothing_is_to_do(
    lab: Lab, sync: Sync
) -> None:
    first = sync()
    assert re.search(r"brought mac4  data rows: 4 files, 0.0 MB in .* MB/s\); ~/sets/rows", first)
    assert re.search(r"brought mac5  model tiny: 10 files, 1.0 MB in .*/snapshots/c0ffee", first)
    assert first.endswith("2.1 MB brought; whole on mac4, mac5\n")
    assert has(lab, "mac4") == has(lab, "mac5") == (True, True)
    again = sync()
    assert "whole   mac4  data rows: nothing was lacking; ~/sets/rows" in again
    assert again.endswith("nothing to do; whole on mac4, mac5\n")


def test_one_host_one_kind_of_input(lab: Lab, sync: Sync) -> None:
    sync("--to", "mac5", "--data")
    assert (has(lab, "mac4"), has(lab, "mac5")) == ((False, False), (True, False))
    sync("--to", "mac5", "--model")
    assert has(lab, "mac5") == (True, True)
    message = sync("--to", "mac6", code=1)
    assert "--to mac6: no host of site 'lab'" in message
    assert "its hosts: mac4, mac5" in message


def test_the_site_can_be_named_as_thunder_hosts_has_it(
    lab: Lab, sync: Sync, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("+profile=mine", "--site", "lab", "--to", "mac5", "--data")
    assert tasks.main(["sync", *words, "--config-dir", str(project.conf)]) == 0
    assert capsys.readouterr().out.endswith("whole on mac5\n")


def test_a_host_that_is_down_is_named_and_the_other_is_served(lab: Lab, sync: Sync) -> None:
    site = Path("conf/site/lab.yaml")
    text = site.read_text()
    site.write_text(text.replace("mac4: {}", "mac4: {port: 23}"))
    said = sync(code=1)
    assert "FAILED  mac4: host mac4 (mac4): " in said
    assert said.endswith("whole on mac5; FAILED: mac4\n")
    assert has(lab, "mac5") == (True, True)


def test_what_this_machine_has_not_comes_from_the_host_that_has_it(
    lab: Lab, sync: Sync, here: Path
) -> None:
    sync("--to", "mac5")
    before = {path.name: path.read_bytes() for path in (here / DATA).iterdir()}
    (here / DATA / "test.jsonl").unlink()
    shutil.rmtree(here / HUB)
    said = sync()
    assert "home    localhost  data rows: it comes from mac5; here: " in said
    assert "home    localhost  model tiny: it comes from mac5; here: it is not there" in said
    assert {path.name: path.read_bytes() for path in (here / DATA).iterdir()} == before
    assert has(lab, "mac4") == (True, True)
    assert (
        sync_home.missing({"kind": "adapter", "data": {"source": {"folder": str(here / DATA)}}})
        == {}
    )
    snapshot = here / HUB / "snapshots" / host_inputs.COMMIT
    assert os.readlink(snapshot / "config.json").startswith("../../blobs/")
    assert (here / HUB / "refs/main").read_text() == host_inputs.COMMIT


def test_a_link_of_a_host_that_leads_out_of_its_cache_is_not_made_here(
    lab: Lab, sync: Sync, here: Path
) -> None:
    sync("--to", "mac5", "--model")
    shutil.rmtree(here / HUB)
    cache = lab["mac5"].home / HUB
    (cache.parent / "evil").write_text("evil")
    (cache / "snapshots" / host_inputs.COMMIT / "evil").symlink_to("../../../evil")
    assert "leads out of its folder" in sync(code=1)
    assert not (here / HUB).exists()


def test_a_branch_comes_home_when_all_is_there_that_it_stands_for(
    sync: Sync, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync("--to", "mac5", "--model")
    shutil.rmtree(here / HUB)

    def cut(*_: object) -> None:
        raise ThunderError("cut before the links", "environment")

    with monkeypatch.context() as patch:
        patch.setattr(sync_home.landing, "link", cut)
        sync("--model", code=1)
    assert not (here / HUB / "refs/main").exists()
    sync("--model", "--to", "mac5")
    assert (here / HUB / "refs/main").read_text() == host_inputs.COMMIT


def test_what_is_whole_nowhere_is_told_machine_by_machine(lab: Lab, sync: Sync, here: Path) -> None:
    sync("--to", "mac5", "--data")
    (lab["mac5"].home / DATA / "valid.jsonl").unlink()
    (here / DATA / "test.jsonl").unlink()
    said = sync(code=1)
    assert "data 'rows' is whole nowhere" in said
    for part in ("test.jsonl: missing", "mac4: it is not there", "mac5: valid.jsonl: missing"):
        assert part in said


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_sync_that_is_killed_or_stopped_goes_on_from_where_it_was(
    lab: Lab, sync: Sync, here: Path, project: Project, monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:  # fmt: skip
    shutil.rmtree(here / HUB)
    host_inputs.write_model((here / HUB).parent, weight_bytes=8 << 20)
    beside = lab["mac4"].home / Path(HUB).parent / f".incoming-{Path(HUB).name}"
    code = "import sys; from thunder.commands import tasks; sys.exit(tasks.main(sys.argv[1:]))"
    asked = ["sync", *WORDS, "--to", "mac4", "--config-dir", str(project.conf)]
    words = [sys.executable, "-c", code, *asked]
    with lab["mac4"].slow(megabits=16):
        running = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while size(beside) < 2 << 20:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running.send_signal(number)
        told = running.communicate(timeout=60)[1]
    if number == signal.SIGINT:
        assert told == "thunder: stopped; the same command goes on from where it was\n"
        assert running.returncode == 130
    deadline = time.monotonic() + 10
    while lab["mac4"].processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert lab["mac4"].processes() == []
    kept = size(beside)
    assert kept > 1 << 20
    assert has(lab, "mac4")[1] is False
    seen: list[int] = []
    call = Connection.call

    def spy(way: Connection, op: str, **more: object) -> object:
        if op == "folder" and not seen:
            seen.append(size(beside))
        return call(way, op, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "call", spy)
    sync("--to", "mac4")
    assert seen == [kept]
    assert has(lab, "mac4") == (True, True)
    assert not beside.exists()


def size(folder: Path) -> int:
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return found


def test_what_a_run_would_find_on_the_hosts_is_shown_and_nothing_is_brought(
    lab: Lab, sync: Sync
) -> None:
    sync("--to", "mac5")
    said = sync("--check", code=1)
    assert re.search(r"FAIL +mac4 +data set present .*no such folder; bring it: thunder sync", said)
    assert re.search(r"PASS +mac5 +model complete +/.*c0ffee.* \(4 files, 1.0 MB\)", said)
    assert "--to mac4" in said
    assert has(lab, "mac4") == (False, False)
    sync()
    assert "FAIL" not in sync("--check")


def test_stand_ins_are_left_to_the_run_that_builds_them(sync: Sync) -> None:
    site = Path("conf/site/lab.yaml")
    data = "{recipe: sentences, rows: 40, seed: 0, script: nko}"
    text = yaml.safe_load(site.read_text().partition("\n")[2])
    text["data"]["rows"] = yaml.safe_load(data)
    site.write_text(f"# @package runtime.site\n{yaml.safe_dump(text)}")
    said = sync()
    assert "skipped mac4  data rows: a stand-in, built and brought when a run needs it" in said
    assert "there is nothing to check before" in sync("--check", code=1)


def test_a_site_that_runs_nothing_on_a_host_is_told_as_that(
    project: Project, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = PROFILE.replace("site.data.rows", "site.data.partial_real")
    project.profile(profile.replace("site.models.tiny", "site.models.gemma4_e2b"))
    assert tasks.main(["sync", "mine", "--config-dir", str(project.conf)]) == 1
    assert "site 'local' runs nothing on a host behind ssh" in capsys.readouterr().err
