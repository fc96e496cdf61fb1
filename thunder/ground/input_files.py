"""Files that tell what a folder of input is, by name."""

CONFIG = "config.json"  # of a model, as the hub's libraries name it
MANIFEST = "manifest.json"  # of data that thunder made, or of a corpus
