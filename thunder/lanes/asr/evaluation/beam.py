"""Prefix beam search for CTC: the most probable texts, not the most probable path.

Hannun et al. 2014 (arXiv 1408.2873), without a language model, for a whole batch at once.
"""

from dataclasses import dataclass
from unicodedata import normalize

import numpy as np

from thunder.lanes.asr.data.vocabulary import Vocabulary
from thunder.lanes.asr.evaluation.decode import Decoded, aligned, composed

NEVER = -np.inf
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd: a prefix and its extensions get other numbers
_EMPTY, _DEAD = np.uint64(1), np.uint64(0)


@dataclass
class _Beams:
    """The prefixes that are kept, (B, W) each; `name` is a 64-bit number of the whole prefix."""

    blank: np.ndarray  # log probability of all paths that spell the prefix and end in a blank
    other: np.ndarray  # … and end in the last class of the prefix
    name: np.ndarray
    parent: np.ndarray  # name of the prefix without its last class
    last: np.ndarray  # last class; -1 where there is none


def search(
    log_probs: np.ndarray, lengths: np.ndarray, vocabulary: Vocabulary, width: int
) -> list[Decoded]:
    """Return the texts of each utterance with the largest probability over all their paths.

    Args:
        log_probs: (B, T, classes), log softmax.
        lengths: (B,) frames that count.
        width: prefixes that are kept from frame to frame; at least 1.
    """
    log_probs = log_probs.astype(np.float64)
    beams = _start(len(log_probs), width)
    origins, tokens = [], []
    for frame in range(int(lengths.max())):
        ended = frame >= lengths
        after, origin, token = _advance(beams, log_probs[:, frame], vocabulary.blank)
        beams = _unless(ended, beams, after)
        origins.append(np.where(ended[:, None], np.arange(width), origin))
        tokens.append(np.where(ended[:, None], -1, token))
    totals = np.logaddexp(beams.blank, beams.other)
    decoded = []
    for row, length in enumerate(lengths):
        prefixes = _prefixes(origins, tokens, row, np.flatnonzero(totals[row] > NEVER))
        scores = totals[row][: len(prefixes)].tolist()
        decoded.append(_decoded(prefixes, scores, log_probs[row, :length], vocabulary))
    return decoded


def _start(batch: int, width: int) -> _Beams:
    shape = (batch, width)
    beams = _Beams(
        blank=np.full(shape, NEVER),
        other=np.full(shape, NEVER),
        name=np.full(shape, _DEAD),
        parent=np.full(shape, _DEAD),
        last=np.full(shape, -1),
    )
    beams.blank[:, 0], beams.name[:, 0] = 0.0, _EMPTY
    return beams


def _advance(
    beams: _Beams, log_probs: np.ndarray, blank: int
) -> tuple[_Beams, np.ndarray, np.ndarray]:
    """Read one frame, (B, classes); returns the new prefixes, which came from where, by what."""
    width, classes = beams.last.shape[1], log_probs.shape[1]
    stay_blank, stay_other, longer = _grown(beams, log_probs, blank)
    stay = np.logaddexp(stay_blank, stay_other)
    scores = np.concatenate([stay, longer.reshape(len(longer), -1)], axis=1)
    kept = np.argpartition(-scores, width - 1, axis=1)[:, :width]
    best = np.take_along_axis(scores, kept, axis=1)
    order = np.argsort(-best, axis=1, kind="stable")
    kept, best = (np.take_along_axis(each, order, axis=1) for each in (kept, best))
    is_new = kept >= width
    origin = np.where(is_new, (kept - width) // classes, kept)
    token = np.where(is_new, (kept - width) % classes, -1)

    def old(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, origin, axis=1)

    name = old(beams.name) * _FACTOR + (token + 2).astype(np.uint64)
    after = _Beams(
        blank=np.where(is_new, NEVER, old(stay_blank)),
        other=np.where(is_new, best, old(stay_other)),
        name=np.where(is_new, name, old(beams.name)),
        parent=np.where(is_new, old(beams.name), old(beams.parent)),
        # What cannot be may be spelled as a live prefix: without a last class nothing joins it.
        last=np.where(best == NEVER, -1, np.where(is_new, token, old(beams.last))),
    )
    return after, origin, token


def _grown(
    beams: _Beams, log_probs: np.ndarray, blank: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log probabilities of the same prefixes (B, W), and of the longer (B, W, classes)."""
    total = np.logaddexp(beams.blank, beams.other)
    rows, columns = np.indices(total.shape)
    has_last = beams.last >= 0
    last = np.where(has_last, beams.last, 0)
    of_last = np.where(has_last, np.take_along_axis(log_probs, last, axis=1), NEVER)
    stay_blank = total + log_probs[:, blank, None]
    stay_other = beams.other + of_last
    longer = total[:, :, None] + log_probs[:, None, :]
    # The same class again makes the text longer only after a blank.
    longer[rows, columns, last] = np.where(
        has_last, beams.blank + of_last, longer[rows, columns, last]
    )
    longer[:, :, blank] = NEVER
    # A longer prefix that is among the kept ones already counts there.
    is_parent = (beams.name[:, :, None] == beams.parent[:, None, :]) & has_last[:, None, :]
    parent, has_parent = is_parent.argmax(axis=1), is_parent.any(axis=1)
    joined = np.where(has_parent, longer[rows, parent, last], NEVER)
    longer[rows[has_parent], parent[has_parent], last[has_parent]] = NEVER
    return stay_blank, np.logaddexp(stay_other, joined), longer


def _unless(ended: np.ndarray, before: _Beams, after: _Beams) -> _Beams:
    """Keep the prefixes of utterances that have ended."""
    pairs = ((vars(before)[name], values) for name, values in vars(after).items())
    return _Beams(*(np.where(ended[:, None], old, new) for old, new in pairs))


def _prefixes(
    origins: list[np.ndarray], tokens: list[np.ndarray], row: int, beams: np.ndarray
) -> list[list[int]]:
    prefixes: list[list[int]] = [[] for _ in beams]
    where = beams
    for origin, token in zip(reversed(origins), reversed(tokens), strict=True):
        for prefix, one in zip(prefixes, token[row, where].tolist(), strict=True):
            if one >= 0:
                prefix.append(one)
        where = origin[row, where]
    return [prefix[::-1] for prefix in prefixes]


def _decoded(
    prefixes: list[list[int]], scores: list[float], log_probs: np.ndarray, vocabulary: Vocabulary
) -> Decoded:
    # Prefixes whose marks stand in another order are one text: of its spellings the first is best.
    texts: dict[str, float] = {}
    for prefix, score in zip(prefixes, scores, strict=True):
        text = normalize("NFC", vocabulary.decode(prefix))
        texts[text] = float(np.logaddexp(texts.get(text, NEVER), score))
    ranked = sorted(texts.items(), key=lambda item: -item[1])
    best = next(p for p in prefixes if normalize("NFC", vocabulary.decode(p)) == ranked[0][0])
    spans = aligned(log_probs, best, vocabulary.blank)
    peaks = [
        float(np.exp(log_probs[start:end, one].max()))
        for (start, end), one in zip(spans, best, strict=True)
    ]
    return Decoded(*composed(vocabulary.decode(best), spans, peaks), ranked)
