"""A run is begun on a host with the Python there that has what its kind needs."""

import json
from pathlib import Path

from lab import Lab

from thunder.executors import sending
from thunder.hosts import connection, environment, host, requirements
from thunder.hosts.far.environments import WHOLE


def prepare(folder: Path, *extras: str) -> str:
    """Write what an environment with some extras looks like; returns its Python."""
    parts = {name: part.digest for name, part in requirements.parts(extras).items()}
    python = folder / "bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    (folder / WHOLE).write_text(json.dumps({"parts": parts}))
    return str(python)


def test_of_two_environments_the_one_with_the_extra_of_a_kind_is_used(lab: Lab) -> None:
    kept = lab["mac4"].home / "thunder/env"
    bare, asr = prepare(kept / "1-bare"), prepare(kept / "2-asr", "asr")
    with connection.opened(host.of_site(lab.site())["mac4"]) as way:
        assert environment.command(way)[-1] == bare
        assert sending._searched(way, "asr")[-1] == asr
        assert sending._searched(way, "dry")[-1] == bare
        way.call("remove", path=str(kept), below="~/thunder")
