"""What the ranks of a run do together: sum, and make sure that they are still replicas."""

from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import Tensor

from thunder.ground.errors import ThunderError


@dataclass(frozen=True)
class Peers:
    """A rank among its like; the default is alone."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Say whether this rank writes and tells."""
        return self.rank == 0

    def sum(self, values: Tensor) -> None:
        """Replace values by their sum over all ranks, the same bits on each."""
        if self.world > 1:
            distributed.all_reduce(values)

    def wait(self) -> None:
        """Wait until every rank is here."""
        if self.world > 1:
            distributed.barrier()

    def check_replicas(self, fingerprint: Tensor, epoch: int) -> None:
        """Refuse weights that differ between ranks.

        Args:
            fingerprint: numbers that equal weights have in common, to the bit.
        """
        if self.world > 1:
            fingerprints = [torch.empty_like(fingerprint) for _ in range(self.world)]
            distributed.all_gather(fingerprints, fingerprint)
            strays = [
                rank
                for rank, one in enumerate(fingerprints)
                if not torch.equal(one, fingerprints[0])
            ]
            if strays:
                raise ThunderError(
                    f"epoch {epoch}: the weights of ranks {strays} are no longer those of rank 0; "
                    "run again to go on from the last epoch",
                    "training",
                )
