"""Pairs of audio and text: read, split, spelt as classes."""
