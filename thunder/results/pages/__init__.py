"""Templates of pages, filled in."""
