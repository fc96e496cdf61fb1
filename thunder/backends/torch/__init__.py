"""PyTorch: device, precision, threads, and what its ranks do together."""
