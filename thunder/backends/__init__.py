"""Threads, BLAS, devices, collectives: besides lanes the only importers of mlx and torch."""
