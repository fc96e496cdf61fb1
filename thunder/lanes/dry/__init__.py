"""The kind that computes next to nothing: to try a matrix, a site or the runner."""
