"""What a run that could not be brought to a host leaves there: nothing."""

from pathlib import Path

import pytest
from lab import Lab

from thunder.executors import occupancy, sending
from thunder.executors.place import Order
from thunder.ground import files, run_files
from thunder.hosts import connection, environment, host


def test_a_run_that_cannot_be_sent_for_whatever_reason_leaves_its_slot(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "dry" / ("a" * 12)
    record = {"kind": "dry", "attempts": [{"runtime": {"jobs": 1}}]}
    files.write_json(folder / run_files.RECORD, record)
    files.write_json(folder / run_files.CONFIG, {})

    def full(*_: object, **__: object) -> None:
        raise OSError("of this machine")

    monkeypatch.setattr(sending, "_check", full)
    mac4 = host.of_site(lab.site())["mac4"]
    with connection.opened(mac4) as way, connection.opened(mac4) as others:
        with pytest.raises(OSError, match="of this machine"):
            sending.claimed(
                way, Order(folder, "nowhere:run", -1, 1.0, 1.0), lambda: False, [].append
            )
        far = f"{environment.workspace(way)}/outputs/dry/{'b' * 12}"
        assert occupancy.take(others, far, "others", 1) == ""
