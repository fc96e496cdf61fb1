"""The router's labels of a row, by how much it trusts them."""

STABLE, BOUNDARY, UNCERTAIN, NOVELTY = "stable", "boundary", "uncertain", "novelty"
RECOVERY = "recovery"  # uncertain, among four labels
LABELS = (STABLE, BOUNDARY, UNCERTAIN, NOVELTY)
FINE = (STABLE, BOUNDARY, UNCERTAIN, RECOVERY, NOVELTY)
