"""MLX: the BLAS under it, and what its ranks tell each other."""
