"""What every room stands on: errors, digests, files, wording, schemas, draws; nothing of runs."""
