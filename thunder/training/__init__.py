"""What every lane that trains needs: events, windows, progress, checkpoints, preflight, ranks."""
