"""`verify --decode` on this machine and on another one: which differences are faults."""

from pathlib import Path
from typing import Any

import pytest
import running

from thunder.commands import decoding, tasks, views
from thunder.ground.errors import ThunderError
from thunder.jobs import kinds
from thunder.runs import provenance
from thunder.runs.run import Run

NEAR = ["dump.jsonl: 1 of 9 rows have another text", "  row_3 asr_text: 'a' in the dump, 'b'"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    assert running.here("+profile=dry", f"outputs={tmp_path}") == 0
    monkeypatch.setitem(
        kinds.KINDS, "dry", kinds.Kind("thunder.lanes.dry.job:run", 1, decodes="a:check")
    )
    return running.only_run(tmp_path)


def decoded(run: Run, monkeypatch: pytest.MonkeyPatch, **found: Any) -> dict[str, Any]:
    backend = run.record()["attempts"][-1]["backend"]
    answer = {"backend": backend, "faults": [], "near": [], "not_looked_at": []}
    answer |= {"said": "9 rows decoded again", **found}
    monkeypatch.setattr(kinds, "loaded", lambda name: lambda *given: answer)
    return decoding.decoded(views.verified(run), run, run.folder.parent.parent)


def test_what_is_the_same_passes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    row = decoded(run, monkeypatch)
    assert (row["result"], row["faults"], row["notes"]) == ("PASS", [], ["9 rows decoded again"])


def test_on_the_same_machine_a_near_tie_is_a_fault(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = decoded(run, monkeypatch, near=NEAR)
    assert (row["result"], row["faults"]) == ("FAIL", NEAR)


def test_on_another_machine_a_near_tie_is_told_and_no_fault(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = provenance.host()
    monkeypatch.setattr(provenance, "host", lambda: {**host, "cpu": "another"})
    row = decoded(run, monkeypatch, near=NEAR)
    assert (row["result"], row["faults"]) == ("PASS", [])
    assert row["notes"][1].startswith("decoded on another machine than the run was (cpu ")
    assert row["notes"][2:] == NEAR
    far = decoded(run, monkeypatch, faults=NEAR)
    assert (far["result"], far["faults"]) == ("FAIL", NEAR)


OPEN = ["dump.jsonl: 7 of 9 rows have another text, not looked at after 1 others"]


def test_on_another_machine_what_was_not_looked_at_is_no_pass(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = provenance.host()
    monkeypatch.setattr(provenance, "host", lambda: {**host, "cpu": "another"})
    row = decoded(run, monkeypatch, near=NEAR, not_looked_at=OPEN)
    assert (row["result"], row["faults"]) == ("UNDECIDED", [])
    unknown = "whether rounding explains what was not looked at is not known"
    assert row["notes"][2:] == [*NEAR, *OPEN, unknown]
    far = decoded(run, monkeypatch, faults=NEAR, not_looked_at=OPEN)
    assert (far["result"], far["faults"]) == ("FAIL", NEAR)


def test_on_the_same_machine_what_was_not_looked_at_is_a_fault(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = decoded(run, monkeypatch, not_looked_at=OPEN)
    assert (row["result"], row["faults"]) == ("FAIL", OPEN)


def test_an_undecided_run_is_counted_and_no_success(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    undecided = {"result": "UNDECIDED", "notes": OPEN}
    monkeypatch.setattr(decoding, "decoded", lambda row, *given: {**row, **undecided})
    words = ["verify", "--decode", "--outputs", str(run.folder.parent.parent)]
    assert tasks.main(words) == 1
    shown = capsys.readouterr().out
    assert f"{run.folder.name}  UNDECIDED\n  {OPEN[0]}\n" in shown
    assert "0 of 1 run proven, 0 not what they should be, 1 undecided" in shown


def test_a_run_that_fails_its_manifest_is_not_decoded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.folder / "metrics.json").write_text("{}")
    row = decoded(run, monkeypatch)
    assert row["result"] == "FAIL"
    assert "notes" not in row


def test_a_decoding_that_fails_is_a_fault_with_its_reason(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> None:
        raise ThunderError("the data of the run are gone", "data")

    monkeypatch.setattr(kinds, "loaded", lambda name: refuse)
    row = decoding.decoded(views.verified(run), run, run.folder.parent.parent)
    assert row["faults"] == ["cannot be decoded: the data of the run are gone"]


def test_a_kind_without_a_model_is_refused_by_name(run: Run, tmp_path: Path) -> None:
    other = Run(tmp_path / "asr_features" / run.id)
    with pytest.raises(ThunderError, match=r"is of kind asr_features; --decode is for asr, dry"):
        decoding.check_kind(other)
