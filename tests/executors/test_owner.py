"""A run is begun on a host with the Python there that has what its kind needs."""

from pathlib import Path

import pytest
from far_runs import prepare
from lab import Lab

from thunder.executors import away, occupancy, owner, watching, ways
from thunder.executors.place import Gone, Order, Stop
from thunder.hosts import connection, environment, host
from thunder.runs.claim import Claim


def test_of_two_environments_the_one_with_the_extra_of_a_kind_is_used(lab: Lab) -> None:
    kept = lab["mac4"].home / "thunder/env"
    bare, asr = prepare(kept / "1-bare"), prepare(kept / "2-asr", "asr")
    with connection.opened(host.of_site(lab.site())["mac4"]) as way:
        assert environment.command(way)[-1] == bare
        assert owner.command(way, "asr")[-1] == asr
        assert owner.command(way, "dry")[-1] == bare
        way.call("remove", path=str(kept), below="~/thunder")


def test_a_run_that_did_not_begin_keeps_nothing_on_its_host(lab: Lab) -> None:
    with connection.opened(host.of_site(lab.site())["mac4"]) as way:
        runs = f"{environment.workspace(way)}/outputs"
        claim = Claim("a", {}, "", f"{runs}/dry/0123456789ab", 1, 0, 0.0)
        renewed = f"{owner.own_folder(claim)}/{away.RENEWED}"
        signs = owner.signs_of_life(runs)
        way.call("write", path=renewed, text="3600")
        assert way.call("living", **signs) == ["dry/0123456789ab"]
        with pytest.raises(owner.NotBegun, match="host mac4: the run did not begin: "):
            owner.spawn(way, claim, "nowhere:run", 1)  # no run is there
        assert way.call("living", **signs) == []
        way.call("write", path=renewed, text="3600")
        owner.end(way, claim)
        assert way.call("living", **signs) == []


def test_a_run_that_is_stopped_while_it_waits_for_a_slot_keeps_nothing_on_its_host(
    lab: Lab, tmp_path: Path
) -> None:
    mac4 = host.of_site(lab.site())["mac4"]
    with connection.opened(mac4) as others, ways.to(mac4) as way:
        runs = f"{environment.workspace(way)}/outputs"
        occupancy.take(others, f"{runs}/dry/{'b' * 12}", "others", 1)
        claim = Claim("mine", {}, "", f"{runs}/dry/{'a' * 12}", 1, 0, 0.0)
        way.call("write", path=f"{owner.own_folder(claim)}/{away.RENEWED}", text="3600")
        run = watching.Living(
            Order(tmp_path, "nowhere:run", -1, 1.0, 1.0), 3600.0, 1, claim, ways.Way(mac4)
        )
        stopping = Stop()
        stopping.reaches_hosts = True
        stopping.set()
        with pytest.raises(Gone, match="host mac4: the run had not begun there"):
            list(watching.watch(run, stopping))
        run.way.close()
        assert way.call("living", **owner.signs_of_life(runs)) == []
