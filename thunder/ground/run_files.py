"""The files of every run, by name; imports nothing, so that the process of a run begins at once."""

CONFIG = "config.json"  # what the id is the digest of
RECORD = "run.json"  # how far the run is and how it came there; written last
METRICS = "metrics.json"  # the numbers of its newest step
ROWS = "metrics.jsonl"  # the numbers of each step or epoch; rows are added alone
MANIFEST = "manifest.json"  # every other file, with size and digest
LOCK = ".lock"  # held by who runs it
LOG = "run.log"  # what its process printed; for people, never read for numbers
MIRROR = "mirror.json"  # what of it lies on which host; changes when a host lets go of it
