"""`thunder hosts`: the hosts of a site for people and for scripts, and its mistakes."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import wheelhouse
import yaml
from lab import Lab
from projects import Project

from thunder.commands import doctor, tasks
from thunder.commands.main import main
from thunder.hosts import base_python, requirements, survey
from thunder.hosts.requirements import CORE, Part


@pytest.fixture
def site(lab: Lab, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The words that name a site of the lab's hosts."""
    folder = tmp_path / "conf"
    (folder / "site").mkdir(parents=True)
    python = wheelhouse.quick_python(tmp_path_factory)
    every = {"python": python, "environment": sys.executable}
    described = yaml.safe_dump(lab.site(ranks_on=["mac4", "mac5"], every_host=every))
    (folder / "site/lab.yaml").write_text(f"# @package runtime.site\n# The lab.\n{described}")
    return ["--config-dir", str(folder), "site=lab"]


def _mistake(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert tasks.main(["hosts", *words]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("thunder: ")
    return captured.err


@pytest.mark.slow
def test_hosts_are_shown_side_by_side_with_the_ways_between_them(
    lab: Lab, site: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tasks.main(["hosts", *site]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].split() == ["host", "mac4", "mac5"]
    assert shown.splitlines()[2].split() == ["state", "ready", "ready"]
    assert f"PASS     mac4 → mac5 ({lab['mac5'].ring})" in shown
    assert "FAIL" not in shown


@pytest.mark.slow
def test_a_host_that_is_not_reached_is_told_beside_one_that_is_and_ends_with_1(
    lab: Lab, site: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = "runtime.site.hosts.mac5.port=23"
    assert tasks.main(["hosts", *site, wrong]) == 1
    shown = capsys.readouterr().out
    assert ["state", "ready", "not", "reached"] in [line.split() for line in shown.splitlines()]
    assert "FAIL     host mac5 (mac5): ssh: connect to host" in shown
    assert tasks.main(["hosts", *site, wrong, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [row["reachable"] for row in report["hosts"]] == [True, False]
    assert (report["site"], report["ready"]) == ("lab", False)
    assert tasks.main(["hosts", "mac4", *site, wrong]) == 0
    assert "mac5" not in capsys.readouterr().out


@pytest.mark.slow
def test_what_is_prepared_is_said_and_what_cannot_be_ends_with_1(
    lab: Lab, site: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {CORE: Part((), (), ("sys",))}
    monkeypatch.setattr(requirements, "parts", lambda extras: parts)
    assert tasks.main(["hosts", "prepare", *site, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["host"], row["is_new"]) for row in rows] == [("mac4", True), ("mac5", True)]
    assert tasks.main(["hosts", "prepare", "mac5", *site]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    name = Path(rows[1]["folder"]).name
    assert line == f"mac5  PASS  ~/thunder/env/{name} is there already: nothing to do"
    monkeypatch.setattr(base_python, "_OLDEST", (4, 0))
    parts[CORE] = Part(("nothing",), (), ("sys",))
    assert tasks.main(["hosts", "prepare", "mac5", *site]) == 1
    assert "mac5  FAIL  no environment could be made: no Python" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("action", [[], ["prepare"]])
def test_what_is_stopped_while_it_waits_for_a_host_ends_with_130(
    lab: Lab, site: list[str], tmp_path: Path, action: list[str]
) -> None:
    code = "import sys; from thunder.commands import tasks; sys.exit(tasks.main())"
    words = [sys.executable, "-c", code, "hosts", *action, *site]
    lab["mac5"].cut()
    try:
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as waiting:
            assert waiting.stderr is not None
            deadline = time.monotonic() + 60
            while not _asks_ssh(waiting.pid):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            waiting.send_signal(signal.SIGINT)
            told = waiting.communicate(timeout=60)[1]
    finally:
        lab["mac5"].heal()
    assert (waiting.returncode, told) == (130, "thunder: stopped\n")


def _asks_ssh(pid: int) -> bool:
    """Say whether a process has begun one that is on its way to mac5."""
    own = subprocess.run(["pgrep", "-P", str(pid), "-f", "mac5"], capture_output=True, check=False)
    return own.returncode == 0


def test_a_site_without_hosts_says_what_has_some(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--site mac_pair" in _mistake(capsys)


def test_a_host_that_the_site_does_not_have_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    message = _mistake(capsys, "mac6", "--site", "mac_pair")
    assert "site 'mac_pair' has no host 'mac6' (did you mean 'mac5'?); hosts: mac4, mac5" in message


@pytest.mark.parametrize("words", [["site=x"], ["--site", "x"]])
def test_a_wrong_value_of_a_site_is_told_by_file_and_line_as_the_main_command_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    words: list[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    site = "name: x\nruns_on: local\nranks_on: []\nhosts:\n  mac4: {port: many}\n"
    project.write("conf/site/x.yaml", f"# @package runtime.site\n{site}models: {{}}\ndata: {{}}\n")
    word = "runtime.site.every_host.port=2.5"
    told = _mistake(capsys, *words, word, "--config-dir", "conf").splitlines()[1:]
    fault = "  conf/site/x.yaml:6: runtime.site.hosts.mac4.port: 'many' is a string, not an integer"
    assert any(line.startswith(fault) for line in told)
    assert any(line.startswith(f"  command line '{word}': runtime.site.every_h") for line in told)
    assert main(["+profile=dry", "site=x", word, "--config-dir", "conf"]) == 1
    assert {*told} <= {*capsys.readouterr().err.splitlines()}


@pytest.mark.parametrize("key", ["ranks_on", "runs_on"])
def test_a_host_that_the_site_uses_and_does_not_describe_is_named(
    capsys: pytest.CaptureFixture[str], key: str
) -> None:
    ranks = "[{name:mac4,address:10.0.5.1},{name:mca5,address:10.0.5.2}]"
    value = {"ranks_on": ranks, "runs_on": "[mac4,mca5]"}[key]
    message = _mistake(capsys, "--site", "mac_pair", f"runtime.site.{key}={value}")
    assert "host 'mca5' is not described (did you mean 'mac5'?): add hosts.mca5" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["remove", "mac5"], "hosts 'remove': not an action; actions: prepare, clean; or one host"),
        (["mac5", "clean"], "hosts 'mac5': not an action (thunder hosts clean mac5?); actions: "),
        (["seed=1"], "'seed=1' says nothing of hosts"),
        (["--site", "nowhere"], "nowhere"),
        (["prepare", "--extra", "asr,sound"], "no extra 'sound'; extras: asr"),
        (
            ["runtime.site.hosts.mac5.prot=2"],
            "hosts.mac5.prot: not a key here (did you mean 'port'",
        ),
    ],
)
def test_a_mistake_is_one_message(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    site = [] if "--site" in words else ["--site", "mac_pair"]
    assert message in _mistake(capsys, *words, *site)


@pytest.mark.slow
def test_doctor_says_of_hosts_what_thunder_hosts_says_when_told_to_and_asks_none_before(
    site: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = Path(site[1])
    described = (folder / "site/lab.yaml").read_text()
    changed = described.replace("mac5: {}", "mac5: {port: 23}")
    assert changed != described
    (folder / "site/lab.yaml").write_text(changed)
    asked = ["--config-dir", str(folder), "--outputs", str(tmp_path)]
    assert tasks.main(["hosts", *site]) == 1
    told = {*map(_unmeasured, capsys.readouterr().out.splitlines())}
    assert tasks.main(["doctor", "--hosts", *asked]) == 0
    shown = capsys.readouterr().out.partition("\nsite lab\n")[2]
    assert {*map(_unmeasured, shown.partition("\nsite ")[0].splitlines())} == told
    assert "FAIL     host mac5 (mac5): ssh: connect to host" in shown
    assert tasks.main(["doctor", "--hosts", "--json", *asked]) == 0
    survey_of = json.loads(capsys.readouterr().out)["surveys"]["lab"]
    assert [row["ready"] for row in survey_of["hosts"]] == [True, False]
    monkeypatch.delattr(survey, "of_hosts")
    found: dict[str, Any] = doctor.examine(folder, tmp_path)
    advice = f"described; thunder hosts --site lab --config-dir {folder} asks it"
    assert found["hosts"]["lab"] == {"mac4": advice, "mac5": advice}


def _unmeasured(line: str) -> str:
    """Return a line of a survey without what is measured anew each time."""
    return re.sub(r"\d+", "0", " ".join(line.split()))


@pytest.mark.slow
def test_advice_to_prepare_a_host_has_the_folder_of_the_site(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path / "a b")
    bare = lab.site(ranks_on=["mac4"], every_host={"workspace": "~/bare"})
    project.write("conf/site/lab.yaml", f"# @package runtime.site\n{yaml.safe_dump(bare)}")
    place = ["--config-dir", str(project.conf)]
    advice = f"thunder hosts prepare mac4 site=lab --config-dir '{project.conf}'\n"
    assert tasks.main(["hosts", "mac4", "site=lab", *place]) == 1
    assert advice in capsys.readouterr().out
    assert tasks.main(["doctor", "--hosts", "--outputs", str(tmp_path), *place]) == 0
    assert advice in capsys.readouterr().out
