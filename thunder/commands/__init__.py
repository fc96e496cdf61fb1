"""A command line becomes a request: `python -m thunder` runs it, `thunder` answers questions."""
