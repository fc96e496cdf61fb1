"""A host that a run cannot be sent to: what is left there, and when it is asked again."""

from pathlib import Path

import pytest
from far_runs import prepare
from lab import Lab

from thunder.executors import fitting, occupancy, sending
from thunder.executors.place import Order
from thunder.ground import files, run_files
from thunder.hosts import connection, environment, host
from thunder.hosts.connection import Connection


def send(way: Connection, root: Path, kind: str = "dry") -> None:
    """Send a run of a kind whose attempt has been recorded."""
    folder = root / kind / ("a" * 12)
    record = {"kind": kind, "attempts": [{"runtime": {"jobs": 1}}]}
    files.write_json(folder / run_files.RECORD, record)
    files.write_json(folder / run_files.CONFIG, {})
    order = Order(folder, "nowhere:run", -1, 1.0, 1.0)
    sending.claimed(way, order, lambda: False, [].append)


def test_a_run_that_cannot_be_sent_for_whatever_reason_leaves_its_slot(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("of this machine")

    monkeypatch.setattr(sending, "_check", full)
    mac4 = host.of_site(lab.site())["mac4"]
    with connection.opened(mac4) as way, connection.opened(mac4) as others:
        with pytest.raises(OSError, match="of this machine"):
            send(way, tmp_path)
        far = f"{environment.workspace(way)}/outputs/dry/{'b' * 12}"
        assert occupancy.take(others, far, "others", 1) == ""


def test_a_host_that_was_prepared_after_it_was_refused_is_seen_as_it_is_now(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pythons = []

    def lacks(_: Connection, words: list[str], kind: str) -> None:
        pythons.append(words[-1])
        raise fitting.Unfit(f"lacks what {kind} needs")

    monkeypatch.setattr(sending, "_check_packages", lacks)
    kept = lab["mac4"].home / "thunder/env"
    bare = prepare(kept / "1-bare")
    with connection.opened(host.of_site(lab.site())["mac4"]) as way:
        with pytest.raises(fitting.Unfit):
            send(way, tmp_path, "asr")
        with_asr = prepare(kept / "2-asr", "asr")
        with pytest.raises(fitting.Unfit):  # by the way that was open
            send(way, tmp_path, "asr")
        way.call("remove", path=str(kept), below="~/thunder")
    assert pythons == [bare, with_asr]
