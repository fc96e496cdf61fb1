"""The rows of an adapter's corpus as tokens, and as batches."""
