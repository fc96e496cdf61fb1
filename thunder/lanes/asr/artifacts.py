"""The files of an ASR run, by the names that its users know; each name is written here alone."""

RESULTS = "results.json"
LOG = "train.log"
SPLIT = "split.json"
VOCABULARY = "vocab.json"
BEST = "best.pt"
LAST = "last.pt"
POLICY = "partition_policy.json"
ROW_FAULTS = "row_faults.jsonl"
SPLITS = ("train", "valid", "test")
# An input in the record of a run, and the key of results.json that says the same.
DIGESTS = {
    "data": "snapshot_sha256",
    "split": "split_sha256",
    "features": "features_sha256",
}
# Another pass over test, by its column in results.json, and the suffix of its dump.
PASSES = {"off": "_ttt_off", "shuffled": "_ttt_shuffled", "suta": "_suta"}


def predictions(split: str, suffix: str = "") -> str:
    """Return the dump of a split.

    Args:
        suffix: of another pass over the split than the mode's own, one of PASSES.
    """
    return f"{split}_predictions{suffix}.jsonl"


def references(split: str) -> str:
    """Return the references of a split."""
    return f"{split}_references.jsonl"


def by_partition(split: str) -> str:
    """Return the metrics of a split by partition."""
    return f"{split}_metrics_by_partition.json"
