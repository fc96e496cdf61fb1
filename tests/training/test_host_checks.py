"""The preflight of two hosts: what each has is measured there, and what is cold is named by it."""

import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import host_inputs
import pytest
from lab import Lab

from thunder.ground.errors import Faults
from thunder.hosts import links, ssh
from thunder.training import host_checks, host_links, there
from thunder.training.host_inputs import MENDED, OWN_INPUTS
from thunder.training.preflight import Checks

HUB = ".cache/huggingface/hub/models--org--tiny"
DATA = "sets/rows"
HOSTS = ("mac4", "mac5")
HUB_MODEL = {"hub": host_inputs.REPOSITORY, "commit": "main"}

Check = Callable[..., Checks]


@pytest.fixture
def check(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Check both hosts, which have data set and model unless a test takes something away."""
    here = tmp_path / "home"
    monkeypatch.setenv("HOME", str(here))
    host_inputs.write_data(here / DATA)
    host_inputs.write_model((here / HUB).parent)
    for name in HOSTS:
        home = lab[name].home
        for folder in (".cache", "sets", "thunder/inputs", "thunder/outputs"):
            shutil.rmtree(home / folder, ignore_errors=True)
        shutil.copytree(here / DATA, home / DATA)
        shutil.copytree(here / HUB, home / HUB, symlinks=True)

    def check(ring: tuple[str, ...] = HOSTS, emit: Any = print, **runtime: Any) -> Checks:
        site = lab.site(
            ranks_on=ring,
            data={"rows": {"folder": f"~/{DATA}"}},
            models={"tiny": runtime.pop("model", HUB_MODEL)},
        )
        site["hosts"]["mac5"] |= runtime.pop("mac5", {})
        words = {"reproduce": "python -m thunder +profile=mine site=lab", **runtime}
        brings, is_named = words.pop("brings", True), words.pop("is_named", True)
        config = host_inputs.job(site, tmp_path / "outputs", **words)
        if not is_named:  # then the data set has thunder's own place there
            config["runtime"]["site"]["data"] = {}
        checks = Checks("localhost")
        host_checks.run(config, {}, checks, emit, brings=brings)
        return checks

    return check


def failures(checks: Checks) -> dict[tuple[str, str], str]:
    return {
        (row["host"], row["check"]): row["reason"] for row in checks.rows if row["status"] == "FAIL"
    }


def measured(checks: Checks, host: str, name: str) -> str:
    (row,) = [row for row in checks.rows if (row["host"], row["check"]) == (host, name)]
    assert row["status"] == "PASS", row
    return row["measured"]


def snapshot(lab: Lab, name: str) -> Path:
    return lab[name].home / HUB / "snapshots" / host_inputs.COMMIT


def assert_cold(checks: Checks, check: str, cause: str, *reasons: str) -> None:
    """Assert that this check failed on mac4 alone, and which command is said to help."""
    ((host, name), reason), *others = failures(checks).items()
    assert (host, name, others) == ("mac4", check, [])
    assert checks.causes == [cause]
    for part in (*reasons, "bring it: thunder sync +profile=mine site=lab --to mac4"):
        assert part in reason
    with pytest.raises(Faults, match="mac4") as told:
        checks.refuse("the preflight failed:")
    assert told.value.cause == cause


def test_hosts_that_have_everything_pass_and_are_measured_one_by_one(
    lab: Lab, check: Check
) -> None:
    checks = check()
    assert failures(checks) == {}
    for name in HOSTS:
        assert "8 train, 8 valid, 8 test; sha256 " in measured(
            checks, name, "data set rows and digests"
        )
        place = snapshot(lab, name)
        assert measured(checks, name, "model complete") == f"{place} (4 files, 1.0 MB)"
        assert "mlx-lm" in measured(checks, name, "versions")
        assert measured(checks, name, there.CODE).startswith("sha256 ")
        for other in ("free disk", "free memory", host_checks.ANSWERS):
            assert measured(checks, name, other)
    order = [row["check"] for row in checks.rows if row["host"] == "mac4"]
    assert order.index("data set present") < order.index("model complete")
    for one, other in (HOSTS, HOSTS[::-1]):
        link = measured(checks, f"{one} → {other}", host_links.HOSTS_REACH)
        assert lab[other].ring in link
    assert checks.rows[-1]["check"] == host_links.HOSTS_REACH
    for name in HOSTS:
        deadline = time.monotonic() + 5
        while lab[name].processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert lab[name].processes() == []


def test_a_data_set_that_is_missing_is_named(lab: Lab, check: Check) -> None:
    shutil.rmtree(lab["mac4"].home / DATA)
    assert_cold(check(), "data set present", "data", "no such folder")


def test_half_a_data_set_is_named_by_the_half_that_is_missing(lab: Lab, check: Check) -> None:
    (lab["mac4"].home / DATA / "valid.jsonl").unlink()
    assert_cold(check(), "data set present", "data", "missing valid.jsonl")


def test_a_data_set_of_another_digest_is_named(lab: Lab, check: Check) -> None:
    shutil.rmtree(lab["mac4"].home / DATA)
    host_inputs.write_data(lab["mac4"].home / DATA, rows=9)
    checks = check()
    assert_cold(checks, "data set rows and digests", "data", "the job has")


def test_a_data_set_is_the_cause_before_a_model_on_whatever_host(lab: Lab, check: Check) -> None:
    shutil.rmtree(snapshot(lab, "mac4"))
    shutil.rmtree(lab["mac5"].home / DATA)
    checks = check()
    with pytest.raises(Faults) as refused:
        checks.refuse("the preflight failed:")
    assert refused.value.cause == "data"
    assert str(refused.value).count(str(snapshot(lab, "mac4"))) == 1


def test_a_partial_cache_is_named_on_the_host_that_has_it(lab: Lab, check: Check) -> None:
    weights = host_inputs.weights_of(snapshot(lab, "mac4"))
    weights.rename(weights.with_name(f"{weights.name}.1234abcd.incomplete"))
    (snapshot(lab, "mac4") / "model.safetensors").unlink()
    assert_cold(
        check(), "model complete", "model", "model.safetensors: missing",
        ".incomplete: an interrupted download",
    )  # fmt: skip


def test_the_partial_cache_is_found_within_a_second_of_the_hosts_time(
    lab: Lab, check: Check, tmp_path: Path
) -> None:
    (snapshot(lab, "mac4") / "model.safetensors").unlink()
    script = Path(host_checks.__file__).parent.parent / "lanes/adapter/model/model_folder.py"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = lab["mac4"].run("python3", str(script), str(snapshot(lab, "mac4")))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
    assert done.returncode == 1
    assert "model.safetensors: missing" in done.stdout


def test_truncated_weights_are_named(lab: Lab, check: Check) -> None:
    weights = host_inputs.weights_of(snapshot(lab, "mac4"))
    weights.write_bytes(weights.read_bytes()[:100_000])
    assert_cold(check(), "model complete", "model", "model.safetensors: broken weights")


def test_a_link_to_nothing_is_named(lab: Lab, check: Check) -> None:
    host_inputs.weights_of(snapshot(lab, "mac4")).unlink()
    assert_cold(check(), "model complete", "model", "model.safetensors: links to")


def test_a_flipped_bit_is_found_by_deep_alone(lab: Lab, check: Check) -> None:
    weights = host_inputs.weights_of(snapshot(lab, "mac4"))
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert failures(check()) == {}
    assert_cold(check(deep=True), "model complete", "model", "its bytes hash to")


def test_a_model_in_a_plain_folder_is_compared_with_the_jobs_content(
    lab: Lab, check: Check, tmp_path: Path
) -> None:
    here = tmp_path / "home" / HUB / "snapshots" / host_inputs.COMMIT
    for home in (tmp_path / "home", *(lab[name].home for name in HOSTS)):
        shutil.copytree(here, home / "sets/model")
    model = {"folder": "~/sets/model"}
    assert failures(check(model=model)) == {}
    weights = lab["mac4"].home / "sets/model/model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert_cold(check(model=model), "model complete", "model", "another content than when the job")


def test_a_host_that_is_down_is_named_and_the_others_are_checked(
    lab: Lab, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 4)
    lab["mac5"].die()
    try:
        checks = check(mac5={"port": 23})
    finally:
        lab["mac5"].boot()
    assert [key for key in failures(checks)] == [("mac5", host_checks.ANSWERS)]
    assert checks.causes == ["environment"]
    assert measured(checks, "mac4", "model complete")
    links = [row for row in checks.rows if row["check"] == host_links.HOSTS_REACH]
    assert {(row["status"], row["reason"]) for row in links} == {
        ("SKIPPED", f"needs: {host_checks.ANSWERS}")
    }


def test_hosts_whose_link_is_down_while_ssh_works_are_named(
    lab: Lab, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "_CONNECT_SECONDS", 2.0)
    lab["mac5"].cut("ring")
    try:
        checks = check()
    finally:
        lab["mac5"].heal("ring")
    ways = ("mac4 → mac5", "mac5 → mac4")
    assert [*failures(checks)] == [(way, host_links.HOSTS_REACH) for way in ways]
    assert all("is the cable in" in reason for reason in failures(checks).values())
    assert checks.causes == ["ranks"] * 2


def test_a_python_without_what_thunder_needs_is_named(lab: Lab, check: Check) -> None:
    checks = check(mac5={"environment": "/usr/bin/python3"})
    assert [*failures(checks)] == [("mac5", host_checks.RUNS_THERE)]
    assert checks.causes == ["environment"]


def test_advice_to_prepare_a_host_has_the_folder_of_the_command(check: Check) -> None:
    again = "python -m thunder --config-dir '/a b/conf' +profile=mine site=lab"
    ((_, name), reason), *_ = failures(check(mac5={"environment": None}, reproduce=again)).items()
    assert name == host_checks.RUNS_THERE
    assert reason.endswith("thunder hosts prepare mac5 site=lab --config-dir '/a b/conf'")


def test_code_that_was_changed_there_is_named(lab: Lab, check: Check) -> None:
    check()
    (module,) = (lab["mac4"].home / "thunder/code").glob("*/thunder/screen/__init__.py")
    before = module.read_text()
    module.write_text("# changed\n")
    try:
        checks = check()
    finally:
        module.write_text(before)
    assert [*failures(checks)] == [("mac4", there.CODE)]


def test_mend_brings_what_is_cold_and_says_so(lab: Lab, check: Check) -> None:
    shutil.rmtree(lab["mac4"].home / DATA)
    weights = host_inputs.weights_of(snapshot(lab, "mac5"))
    weights.rename(weights.with_name(f"{weights.name}.1234abcd.incomplete"))
    said: list[dict[str, Any]] = []
    checks = check(mend=True, emit=said.append)
    assert failures(checks) == {}
    assert measured(checks, "mac4", MENDED).startswith("data rows brought, 0.0 MB, 4")
    assert "model tiny brought, 1.0 MB, 1 file" in measured(checks, "mac5", MENDED)
    assert measured(checks, "mac4", "data set present")
    texts = [event["text"] for event in said]
    assert "host mac5: model tiny brought, 1.0 MB, 1 file" in texts


def test_who_only_looks_brings_nothing_and_is_told_what_a_run_would_bring(
    lab: Lab, check: Check
) -> None:
    shutil.rmtree(lab["mac5"].home / HUB)
    checks = check(mend=True, brings=False, is_named=False)
    assert {host for host, _ in failures(checks)} == {"mac5"}
    assert {*checks.causes} == {"model"}
    own = [row for row in checks.rows if row["check"] == OWN_INPUTS]
    assert [row["status"] for row in own] == ["SKIPPED"] * 2
    assert own[0]["reason"].startswith("brought when a run begins: data, ")
    for name in HOSTS:
        assert not (lab[name].home / "thunder/inputs").exists()
    assert not (lab["mac5"].home / HUB).exists()
    check(is_named=False)
    after = check(brings=False, is_named=False)
    assert measured(after, "mac4", OWN_INPUTS) == "nothing is lacking"


def test_mend_overwrites_nothing(lab: Lab, check: Check) -> None:
    mine = lab["mac4"].home / DATA / "valid.jsonl"
    mine.write_text("mine\n")
    checks = check(mend=True)
    assert ("mac4", MENDED) in failures(checks)
    assert "nothing is overwritten" in failures(checks)["mac4", MENDED]
    assert mine.read_text() == "mine\n"
