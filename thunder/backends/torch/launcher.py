"""Torch's own launcher of ranks, in a process of its own: `python -m … launcher MODULE ORDER`.

Standard input is handed on to the ranks: when the run that holds its other end is gone, they end.
"""

import sys
import uuid
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from thunder.ground import files

FAILURES = "failures.json"
LOCAL = "127.0.0.1"
MONITOR_SECONDS = 0.1


def main(arguments: list[str]) -> int:
    """Start the ranks of an order on this host, and say which of them failed, if any.

    Args:
        arguments: the module that a rank runs, and the file of the order, its own argument.
    """
    module, path = arguments[0], Path(arguments[1])
    ranks = files.read_json(path)["config"]["train"]["ranks"]
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint=f"{LOCAL}:0",
        rdzv_configs={"is_host": True},
        local_addr=LOCAL,
        max_restarts=0,  # the runner tries again, from the last epoch
        monitor_interval=MONITOR_SECONDS,
    )
    try:
        elastic_launch(config, sys.executable)("-m", module, str(path))
    except ChildFailedError as error:
        found = [
            {"rank": rank, "pid": failure.pid, "code": failure.exitcode, "at": failure.timestamp}
            for rank, failure in error.failures.items()
        ]
        files.write_json(path.parent / FAILURES, found)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
