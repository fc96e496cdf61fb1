"""The checks of one host, as a program that is run on it: an order in, rows out, both as JSON.

The order: `host`, its name; `config`, of the job; `places`, where its inputs lie there, by section;
`alike`, the versions of where the run is started; `code`, the digest of its thunder; `workspace`;
`ranks`, how many of them are there.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.hosts import environment
from thunder.hosts.workspace import cache_in
from thunder.jobs import inputs, kinds
from thunder.training.preflight import Checks

CODE = "thunder's code"


def main() -> None:
    """Read the order from standard input, and print {"rows", "causes"}."""
    order = json.load(sys.stdin)
    order["places"] = {name: os.path.expanduser(at) for name, at in order["places"].items()}
    checks = Checks(order["host"])
    kind = kinds.KINDS[order["config"]["kind"]]
    module = kinds.loaded(kind.there or "")
    module.check(order, checks, lambda name: _content(order, name))
    _code(order, checks)
    print(json.dumps({"rows": checks.rows, "causes": checks.causes}))


def _content(order: Mapping[str, Any], name: str) -> str:
    """Return the digest of an input here; of a large one it is remembered, as where it began."""
    reads = kinds.KINDS[order["config"]["kind"]].reads.get(name)
    return inputs.folder_digest(
        Path(order["places"][name]), Path(cache_in(order["workspace"])), reads
    )


def _code(order: Mapping[str, Any], checks: Checks) -> None:
    with checks.check(CODE, "environment") as measured:
        own = environment.code_digest()
        measured(f"sha256 {own[:12]}")
        if own != order["code"]:
            raise ThunderError(
                f"not the one that the run is started with, sha256 {order['code'][:12]}: somebody "
                f"changed {environment.code_folder()}; remove that folder"
            )


if __name__ == "__main__":
    main()
