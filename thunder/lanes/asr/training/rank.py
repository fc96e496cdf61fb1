"""The process of one rank: `python -m thunder.lanes.asr.training.rank`.

How it hears and tells is in `thunder/training/rank.py`; here is what it does.
"""

import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thunder.ground.errors import ThunderError, message_of
from thunder.training import rank
from thunder.training.events import Emit, beat
from thunder.training.rank import Channel

if TYPE_CHECKING:
    from thunder.backends.torch.peers import Peers


def main() -> None:
    """Train as one rank."""
    rank.run(_serve)


def _serve(order: Mapping[str, Any], channel: Channel) -> None:
    # Before torch and numpy are loaded; how many threads torch has is set when it is.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        _train(order, channel)
    except (ThunderError, OSError):
        raise
    except Exception as error:
        traceback.print_exc()
        raise ThunderError(f"rank {order['rank']}: {message_of(error)}", "crash") from error


def _train(order: Mapping[str, Any], channel: Channel) -> None:
    import torch.distributed as distributed

    from thunder.backends.torch import machine, rendezvous
    from thunder.backends.torch.peers import Peers
    from thunder.lanes.asr.material import gather
    from thunder.lanes.asr.training import loop

    config, folder, patience = order["config"], Path(order["folder"]), order["timeout_seconds"]
    peers = Peers(order["rank"], order["world"])
    store = rendezvous.opened(peers, patience) if peers.leads else None
    port = int(rank.greet(channel, at=str(store.port) if store else ""))
    chosen = machine.choose(config, peers.rank, order["threads"])
    machine.prepare(chosen)
    emit = _telling(channel, peers)
    material = gather(config, folder, emit)
    rendezvous.join(store or rendezvous.found(port, peers, patience), peers, chosen, patience)
    with machine.memory():
        loop.train(material, folder, chosen, peers, emit)
    # Only after a good end: with a peer gone it could wait for ever.
    distributed.destroy_process_group()


def _telling(channel: Channel, peers: "Peers") -> Emit:
    """Return the emitter of a rank: all ranks but one only say that they are at work."""
    if peers.leads:
        return channel.emit
    return lambda event: channel.emit({"event": "stepped"} if event["event"] == "step" else beat())


if __name__ == "__main__":
    main()
