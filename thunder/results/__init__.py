"""Runs become tables, pages and promotions: every number with the run that wrote it."""
