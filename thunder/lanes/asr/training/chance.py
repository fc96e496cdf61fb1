"""The draws of a run, each named by what it is for: no state of any has to be saved."""

import numpy as np

ORDER, MASKS, MODEL = 0, 1, 2


def generator(purpose: int, seed: int, epoch: int, rank: int = 0) -> np.random.Generator:
    """Return the draws of one purpose in one epoch on one rank."""
    return np.random.default_rng((seed, epoch, rank, purpose))


def torch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """Return the seed of torch's own draws: first weights in epoch 0, dropout in the others."""
    return int(np.random.SeedSequence((seed, epoch, rank, MODEL)).generate_state(1)[0])
