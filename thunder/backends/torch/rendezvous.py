"""Where the ranks of a run meet: a store that rank 0 opens, on a port that the system picks."""

from datetime import timedelta

import torch.distributed as distributed

from thunder.backends.torch.machine import Machine
from thunder.backends.torch.peers import Peers

LOCAL = "127.0.0.1"


def opened(peers: Peers, seconds: float) -> distributed.TCPStore:
    """Open the store of a run; as its port was free, no two runs can meet in one."""
    return distributed.TCPStore(
        LOCAL,
        0,
        peers.world,
        is_master=True,
        timeout=timedelta(seconds=seconds),
        wait_for_workers=False,
    )


def found(port: int, peers: Peers, seconds: float) -> distributed.TCPStore:
    """Connect to the store that rank 0 has opened."""
    patience = timedelta(seconds=seconds)
    return distributed.TCPStore(LOCAL, port, peers.world, is_master=False, timeout=patience)


def join(store: distributed.TCPStore, peers: Peers, machine: Machine, seconds: float) -> None:
    """Form the group of ranks that sum and wait together."""
    on_gpu = machine.device.type == "cuda"
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=store,
        rank=peers.rank,
        world_size=peers.world,
        timeout=timedelta(seconds=seconds),
        device_id=machine.device if on_gpu else None,
    )
