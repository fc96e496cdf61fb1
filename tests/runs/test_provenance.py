"""Provenance: which code, which command, which machine; recorded and never hashed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import running

from thunder.commands import requests
from thunder.ground import digest, schema
from thunder.runs import attempts, provenance
from thunder.runs.run import Run


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a git repository with one commit."""
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("x = 1\n")
    (tmp_path / ".gitignore").write_text("outputs/\n")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *words: str) -> str:
    """Run git as nobody in particular, whatever hook the tests run in."""
    names = {"GIT_AUTHOR_NAME": "n", "GIT_AUTHOR_EMAIL": "e", "GIT_COMMITTER_NAME": "n"}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True,
        env={**environment, **names, "GIT_COMMITTER_EMAIL": "e", "GIT_CONFIG_GLOBAL": os.devnull},
    )  # fmt: skip
    return done.stdout.strip()


def commit(folder: Path) -> str:
    """Commit all there is; return the commit."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    assert provenance.code(checkout) == {
        "commit": git(checkout, "rev-parse", "HEAD"),
        "dirty": False,
        "diff_sha256": None,
        "reason": None,
    }


def test_a_new_commit_shows(checkout: Path) -> None:
    before = provenance.code(checkout)["commit"]
    (checkout / "code.py").write_text("x = 2\n")
    assert provenance.code(checkout)["commit"] == before
    assert commit(checkout) == provenance.code(checkout)["commit"] != before


def test_the_digest_tells_two_dirty_states_apart(checkout: Path) -> None:
    (checkout / "code.py").write_text("x = 2\n")
    first = provenance.code(checkout)
    (checkout / "code.py").write_text("x = 3\n")
    second = provenance.code(checkout)
    assert first["dirty"] is second["dirty"] is True
    assert first["diff_sha256"] != second["diff_sha256"]
    (checkout / "code.py").write_text("x = 2\n")
    assert provenance.code(checkout) == first
    (checkout / "code.py").write_text("x = 1\n")
    assert provenance.code(checkout)["dirty"] is False


def test_staged_changes_count(checkout: Path) -> None:
    (checkout / "code.py").write_text("x = 2\n")
    git(checkout, "add", "-A")
    assert provenance.code(checkout)["dirty"] is True


def test_untracked_code_counts_with_its_content(checkout: Path) -> None:
    (checkout / "deep").mkdir()
    (checkout / "deep" / "new ߒߞߏ.py").write_text("y = 1\n")
    first = provenance.code(checkout)
    (checkout / "deep" / "new ߒߞߏ.py").write_text("y = 2\n")
    assert first["dirty"] is True
    assert provenance.code(checkout)["diff_sha256"] != first["diff_sha256"]


def test_untracked_data_do_not_count_but_a_schema_does(checkout: Path) -> None:
    (checkout / "my_speech").mkdir()
    (checkout / "my_speech" / "manifest.json").write_text("{}")
    (checkout / "my_speech" / "hello.wav").write_bytes(b"RIFF")
    assert provenance.code(checkout)["dirty"] is False
    (checkout / "schemas").mkdir()
    (checkout / "schemas" / "mine.json").write_text("{}")
    assert provenance.code(checkout)["dirty"] is True


def test_ignored_files_do_not_count(checkout: Path) -> None:
    (checkout / "outputs").mkdir()
    (checkout / "outputs" / "big.py").write_text("")
    assert provenance.code(checkout)["dirty"] is False


def test_a_binary_change_counts(checkout: Path) -> None:
    (checkout / "data.bin").write_bytes(b"\0\1")
    commit(checkout)
    (checkout / "data.bin").write_bytes(b"\0\2")
    first = provenance.code(checkout)["diff_sha256"]
    (checkout / "data.bin").write_bytes(b"\0\3")
    assert provenance.code(checkout)["diff_sha256"] != first


def test_without_a_checkout_there_is_a_reason(tmp_path: Path) -> None:
    code = provenance.code(tmp_path)
    assert code["commit"] is code["dirty"] is None
    assert code["reason"] == "thunder is installed, not a checkout"


def test_without_git_there_is_a_reason(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    code = provenance.code(checkout)
    assert code["commit"] is None
    assert code["reason"].startswith("git did not answer: ")


def test_a_checkout_without_a_commit_has_gits_own_reason(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert provenance.code(tmp_path)["reason"].startswith("git: fatal: ")


def test_a_git_hook_does_not_make_it_look_elsewhere(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = provenance.code(checkout)
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    assert provenance.code(checkout) == wanted


def test_the_command_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["+profile=dry", "dry.note=\"a b 'c' ߒߞߏ\""]
    monkeypatch.setattr(sys, "argv", ["/x/thunder/__main__.py", *words])
    assert provenance.command() == ["python", "-m", "thunder", *words]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/thunder", "table"])
    assert provenance.command() == ["thunder", "table"]


@pytest.mark.slow
def test_a_run_records_where_it_came_from(tmp_path: Path) -> None:
    outputs = tmp_path / "out"
    words = ["+profile=dry", "seed=3", f"outputs={outputs}"]
    assert running.thunder(*words, cwd=tmp_path).returncode == 0
    attempt = running.only_run(outputs).record()["attempts"][-1]
    recorded = attempt["provenance"]
    assert recorded["command"] == ["python", "-m", "thunder", *words]
    assert attempt["runtime"]["command"] == f"python -m thunder +profile=dry seed=3 {words[2]}"
    assert recorded["folder"] == str(tmp_path)
    assert recorded["commit"] or recorded["reason"]
    assert recorded["versions"]["python"] == sys.version.split()[0]
    assert {"thunder", "hydra-core", "invoke"} <= set(recorded["versions"])
    assert recorded["host"]["cores"] == os.cpu_count()


def test_provenance_is_what_the_record_allows() -> None:
    collected = provenance.collect()
    allowed = schema.load("run")["properties"]["attempts"]["items"]["properties"]["provenance"]
    assert set(collected) == set(allowed["required"])


def test_what_is_not_committed_is_kept_with_the_run(checkout: Path, tmp_path: Path) -> None:
    (checkout / "new.py").write_text("answer = 42\n")
    diff = provenance.uncommitted(checkout)
    assert b"answer = 42" in diff
    assert digest.of_bytes(diff) == provenance.code(checkout)["diff_sha256"]
    (cell,) = requests.read(["+profile=dry"]).cells
    run = Run(tmp_path / "outputs" / "dry" / cell.job.id)
    run.folder.mkdir(parents=True)
    record = {**provenance.collect(), **provenance.code(checkout)}
    attempts.start(run, cell.job, record, diff)
    (path,) = run.folder.glob("uncommitted-*.diff")
    assert path.read_bytes() == diff
