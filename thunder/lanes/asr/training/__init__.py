"""Epochs of training on one rank or many, saved so that any of them can be gone on from."""
