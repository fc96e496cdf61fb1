"""The files of an ASR run, by the names that its users know; each name is written here alone."""

RESULTS = "results.json"
LOG = "train.log"
SPLIT = "split.json"
VOCABULARY = "vocab.json"
BEST = "best.pt"
LAST = "last.pt"
POLICY = "partition_policy.json"
SPLITS = ("train", "valid", "test")


def predictions(split: str, suffix: str = "") -> str:
    """Return the dump of a split.

    Args:
        suffix: of another way to hear the split than the mode's own.
    """
    return f"{split}_predictions{suffix}.jsonl"


def references(split: str) -> str:
    """Return the references of a split."""
    return f"{split}_references.jsonl"


def by_partition(split: str) -> str:
    """Return the metrics of a split by partition."""
    return f"{split}_metrics_by_partition.json"
