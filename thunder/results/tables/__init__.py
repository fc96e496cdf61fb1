"""Runs become tables: every number from a file that a run wrote, with the run's id beside it."""
