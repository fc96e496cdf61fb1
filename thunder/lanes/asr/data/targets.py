"""What a model is to write: a row's reference text, and the classes of its normal form."""

import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.ground.input_files import MANIFEST
from thunder.lanes.asr.data import letters
from thunder.lanes.asr.data.vocabulary import Vocabulary
from thunder.language import bridge, spelling

if TYPE_CHECKING:
    from datasets import Dataset

NO_BRIDGE = "none"

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Targets:
    """The text of every row, in the order of the rows."""

    references: list[str]  # NFC, as in the data or as bridged
    classes: list[list[int]]  # of the normal form; what the vocabulary lacks is left out
    chars: Numbers  # of the normal form
    foreign_chars: Numbers  # of those, what the vocabulary lacks
    foreign: Counter[str]  # by character


def references(rows: "Dataset", script: str, version: str) -> list[str]:
    """Return the reference text of every row, in NFC.

    Args:
        version: of the bridge that makes N'Ko of the Latin column; none.
    """
    is_bridged = script == "nko" and version != NO_BRIDGE
    column = "latin" if is_bridged else script
    texts: list[Any] = list(rows[column]) if column in rows.column_names else [None]
    if any(text is None for text in texts):
        more = "; or make it from the Latin column by text.bridge=v2_standard"
        raise ThunderError(
            f"data.columns.{column} names no column, and {script} text is needed"
            f"{more if script == 'nko' and not is_bridged else ''}"
        )
    if is_bridged:
        texts = [bridge.to_nko(text, version) for text in texts]
    return [unicodedata.normalize("NFC", text) for text in texts]


def of_ids(texts: Sequence[str], rows: "Dataset", ids: Collection[str]) -> list[str]:
    """Return the texts of some rows, in the order of the rows."""
    kept = frozenset(ids)
    return [text for text, name in zip(texts, rows["feat_id"], strict=True) if name in kept]


def normal(texts: Sequence[str], form: spelling.Script) -> list[str]:
    """Return texts as they are learned and scored."""
    return [spelling.scored(text, form, spelling.MAIN) for text in texts]


def make(
    texts: list[str], normal: Sequence[str], vocabulary: Vocabulary, most_foreign: float
) -> Targets:
    """Return references and classes.

    Args:
        texts: the references.
        normal: the same in their normal form.
        most_foreign: share of characters that may lie outside the vocabulary.

    Raises:
        ThunderError: more of the text is outside the vocabulary than allowed.
    """
    foreign: Counter[str] = Counter()
    classes, chars, missing = [], [], []
    for text in normal:
        inside, outside = vocabulary.encode(text)
        classes.append(inside)
        chars.append(len(inside) + len(outside))
        missing.append(len(outside))
        foreign.update(outside)
    made = Targets(texts, classes, np.array(chars), np.array(missing), foreign)
    _check_foreign(made, vocabulary.script, most_foreign)
    return made


def frames_needed(classes: Sequence[int]) -> int:
    """Return the fewest frames that CTC can write classes in: equal neighbours need a blank."""
    repeats = sum(one == other for one, other in pairwise(classes))
    return len(classes) + repeats


def bridge_version(config: Mapping[str, Any], folder: Path) -> str:
    """Return which bridge wrote the references: that of the run, or of the builder of the data.

    Args:
        folder: of the data.
    """
    own = config["text"]["bridge"]
    if config["script"] != "nko":
        return NO_BRIDGE
    if own != NO_BRIDGE:
        return str(own)
    of_builder = None
    with suppress(OSError, ValueError, AttributeError):  # a folder of others need not say
        of_builder = files.read_json(folder / MANIFEST).get("bridge_version")
    return of_builder if of_builder in bridge.VERSIONS else NO_BRIDGE


def _check_foreign(made: Targets, script: str, most: float) -> None:
    chars, count = int(made.chars.sum()), made.foreign.total()
    if count > most * chars:
        raise ThunderError(
            f"{count} of {chars} characters ({count / chars:.2%}) are not in the {script} "
            f"vocabulary, and text.most_foreign allows {most:.2%}; most often "
            f"{letters.shown(made.foreign)}; script=from_data has the letters of the "
            "training rows, script=vocabulary_file those of a file",
            "data",
        )
