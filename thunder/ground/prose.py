"""Files that are written for people, told by their names: README, LICENSE, notes in Markdown."""

import re

_TITLES = "readme|licen[cs]e|copying|notice|changelog|changes|citation|authors|contributors"
_PROSE = re.compile(
    rf"(.*\.(md|markdown|rst|pdf)|({_TITLES})([-_][\w-]*)?(\.(txt|html?|cff|bib))?)",
    re.IGNORECASE,
)


def is_prose(path: str) -> bool:
    """Say whether a file is by its name one for people.

    No loader opens one, so it names no input; and what names no input, no lane may read.
    """
    return _PROSE.fullmatch(path.rpartition("/")[2]) is not None
