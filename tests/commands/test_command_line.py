"""`python -m thunder …` as a real process: a user's mistake is one message, and exit code 1."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Project

from thunder import __version__
from thunder.commands.main import main

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["+profile=drry"], "no profile 'drry' (did you mean 'dry'?)"),
        (["+profile=dry", "dry.vaule=1"], "dry.vaule: not a key here (did you mean 'value'?)"),
        (["+profile=dry", "seed=one"], "seed: 'one' is a string, not an integer"),
        (["+profile=dry", "data.name=ߒߞߏ"], "needs quotes inside quotes: 'data.name=\"ߒߞߏ\"'"),
        (["+profile=dry", "seed"], "'seed': not an override; write key=value"),
        (["+profile=dry", "dry.value=nan"], "nan is not a finite number"),
        (["+profile=dry", "seed=1,2"], "is a sweep; add -m to run all its values"),
        (["+profile=dry", "--mutlirun"], "not a flag of thunder (did you mean '--multirun'?)"),
        (["matrix=adapter_rnak"], "no matrix 'adapter_rnak' (did you mean 'adapter_rank'?)"),
        (["matrix=adapter_rank", "train.setps=4"], "train.setps: not a key here"),
        (["--config-dir", "nowhere", "+profile=dry"], "--config-dir nowhere: no such folder"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_1(
    run_thunder: Run, tmp_path: Path, words: list[str], message: str
) -> None:
    done = run_thunder(*words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("thunder: ")
    assert done.stderr.count("thunder: ") == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_the_site_of_two_macs_names_everything_that_is_missing(
    run_thunder: Run, tmp_path: Path
) -> None:
    environment = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HOME": str(tmp_path)}
    done = run_thunder("+profile=partial_real_stage1_stable", "site=mac_pair", **environment)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "thunder: site 'mac_pair' is not ready on this machine:",
        "  model 'gemma4_e2b': no snapshot of mlx-community/gemma-4-e2b-4bit (main) in "
        f"{tmp_path}/hub; fetch it with: hf download mlx-community/gemma-4-e2b-4bit "
        "--revision main",
        "  data 'partial_real': no folder "
        f"{tmp_path}/projects/thunder-train/data/agp-nko-partial-real",
        "  what one of its hosts has whole is brought here by: thunder sync "
        "+profile=partial_real_stage1_stable site=mac_pair",
    ]
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_dry_run_writes_nothing(run_thunder: Run, tmp_path: Path) -> None:
    done = run_thunder("matrix=adapter_rank", "dry_run=true", "outputs='a b'")
    assert (done.returncode, done.stderr) == (0, "")
    assert "9 cells, 9 runs: 0 reached, 9 planned" in done.stdout
    assert "9 added, 0 kept, 0 orphaned" in done.stdout
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_job_that_is_dry_run_writes_nothing(run_thunder: Run, tmp_path: Path) -> None:
    done = run_thunder("+profile=dry", "dry_run=true")
    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "thunder", "--help"],
        cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.mark.slow
def test_a_terminal_that_knows_no_nko_is_no_traceback(run_thunder: Run) -> None:
    done = run_thunder(
        "+profile=dry", 'runtime.site.name="ߒ"', "--cfg=job", PYTHONIOENCODING="ascii"
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    done = run_thunder("+profile=dry", 'outputs="ߒߞߏ"', "--cfg=job", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert r"outputs: \u07d2\u07de\u07cf" in done.stdout


def _said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("+profile=dry", "--help")])
def test_help_shows_the_words_and_the_choices(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, out, err = _said(capsys, *words)
    assert (code, err) == (0, "")
    for text in ("+profile=NAME", "matrix=NAME", "--config-dir", "Exit codes", "mac_pair", "smoke"):
        assert text in out


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert _said(capsys, "--version") == (0, f"thunder {__version__}\n", "")


@pytest.mark.parametrize("flag", [("--cfg", "job"), ("--cfg=job",), ("-c", "job")])
def test_cfg_shows_the_config_and_runs_nothing(
    capsys: pytest.CaptureFixture[str], project: Project, flag: tuple[str, ...]
) -> None:
    import yaml

    code, out, _ = _said(capsys, "--config-dir", "conf", "+profile=mine", "seed=4", *flag)
    assert code == 0
    assert yaml.safe_load(out)["seed"] == 4
    assert not (project.root / "outputs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cfg", "hydra"), "--cfg hydra: only 'job' can be shown"),
        (("--cfg",), "--cfg: a value is needed after it"),
        (("--config-dir=",), "--config-dir: a value is needed after it"),
        (("--confg-dir", "x"), "--confg-dir: not a flag of thunder (did you mean '--config-dir'?)"),
        (("-x",), "-x: not a flag of thunder"),
        (("seed=1",), "no profile is chosen: add +profile=NAME; conf/profile/ has asr_ctc, "),
        (("+profile=dry", "+profile=smoke"), "profile is given twice"),
    ],
)
def test_a_mistake_in_the_flags_is_told(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    code, out, err = _said(capsys, *words)
    assert (code, out) == (1, "")
    assert message in err


def test_outputs_that_cannot_be_written_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "plans").write_text("a file")
    code, _, err = _said(capsys, "matrix=adapter_rank", f"outputs={tmp_path}")
    assert code == 1
    assert err == f"thunder: the plan cannot be written into {tmp_path}: File exists\n"


@pytest.mark.parametrize("words", [["+profile=dry"], ["matrix=adapter_rank", "dry_run=true"]])
def test_outputs_that_are_no_folder_are_refused_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    code, out, err = _said(capsys, *words, f"outputs={tmp_path}/link")
    assert (code, out) == (1, "")
    assert err == (
        f"thunder: {tmp_path}/link: a link that leads nowhere (nowhere); "
        "outputs need a folder: make it, remove the link, or name another one\n"
    )
    code, out, err = _said(capsys, *words, f"outputs={tmp_path}/file/below")
    assert (code, out) == (1, "")
    assert err == f"thunder: {tmp_path}/file: a file; outputs need a folder: name another one\n"


@pytest.mark.slow
@pytest.mark.parametrize("module", ["thunder.commands.main", "thunder.commands.tasks"])
def test_an_output_that_is_closed_is_no_traceback(tmp_path: Path, module: str) -> None:
    code = f"import sys; from {module} import main; sys.exit(main(['--version']))"
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_the_tasks_print_nko_on_a_terminal_that_knows_none(tmp_path: Path) -> None:
    code = "import sys; from thunder.commands.tasks import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "status", "--outputs", "ߒߞߏ"],
        cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"}, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u07d2\u07de\u07cf" in done.stdout
