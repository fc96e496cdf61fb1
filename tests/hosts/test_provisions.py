"""What a window brings to a host for itself alone goes with it, and with the next one at last."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Lab

from thunder.hosts import connection, delivery, environment, host, provisions
from thunder.hosts.connection import Connection

WHOSE = "tokens-0123456789ab"


@pytest.fixture
def mac4(lab: Lab) -> Iterator[Connection]:
    with connection.opened(host.of_site(lab.site())["mac4"]) as opened:
        yield opened


def rows(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "rows").write_text(text)
    return folder


def test_the_next_window_removes_what_was_left_of_its_own_run_alone(
    mac4: Connection, tmp_path: Path
) -> None:
    inputs = f"{environment.workspace(mac4)}/inputs"
    other = f"{inputs}/tokens-ba9876543210-{'0' * 12}"
    model = f"{inputs}/{'0' * 12}"
    old = f"{inputs}/{WHOSE}-{'0' * 12}"
    for folder in (other, model, old, delivery.incoming(old)):
        mac4.call("write", path=f"{folder}/rows", text="old")
    place = provisions.bring(mac4, rows(tmp_path, "new"), WHOSE)
    assert provisions.left(mac4) == [place, other]
    assert provisions.left(mac4, WHOSE) == [place]
    assert (Path(place) / "rows").read_text() == "new"
    assert Path(model).is_dir()
    provisions.remove(mac4, place)
    assert provisions.left(mac4) == [other]
    assert sorted(path.name for path in Path(inputs).iterdir() if path.is_file()) == []


def test_what_others_read_is_left_to_the_last_of_them(
    lab: Lab, mac4: Connection, tmp_path: Path
) -> None:
    with connection.opened(mac4.host) as way:
        place = provisions.bring(mac4, rows(tmp_path, "both"), WHOSE)
        assert provisions.bring(way, tmp_path, WHOSE) == place
        assert not provisions.discard(mac4, place)
        provisions.remove(mac4, place)
        assert not provisions.discard(mac4, place, is_trial=True)
        assert (Path(place) / "rows").read_text() == "both"
        provisions.remove(way, place)
    assert not Path(place).exists()
