"""A lane that counts, as small as a lane can be: what a new one has to bring, and nothing else."""
