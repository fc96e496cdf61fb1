"""Files that tell what a folder of input is, by name, and those that tell people of it alone."""

import re

CONFIG = "config.json"  # of a model, as the hub's libraries name it
MANIFEST = "manifest.json"  # of data that thunder made, or of a corpus
_TITLES = "readme|licen[cs]e|copying|notice|changelog|changes|citation|authors|contributors"
_PROSE = re.compile(
    rf"(.*\.(md|markdown|rst|pdf)|({_TITLES})([-_][\w-]*)?(\.(txt|html?|cff|bib))?)",
    re.IGNORECASE,
)


def is_prose(path: str) -> bool:
    """Say whether a file is by its name one for people: README, LICENSE, notes in Markdown.

    No loader opens one, so it names no input; and what it does not name, no lane may read.
    """
    return _PROSE.fullmatch(path.rpartition("/")[2]) is not None
