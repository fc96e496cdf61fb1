"""What became of jobs: folders, records, locks, manifests; the only room that knows outputs/."""
