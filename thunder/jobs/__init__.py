"""What to compute: checked configs and their ids, what they read, matrices, what is comparable."""
