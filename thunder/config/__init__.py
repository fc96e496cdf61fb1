"""Hydra in, plain data out, and where each value was set; the only importer of hydra, omegaconf."""
