"""From posteriors to text: greedy for a whole batch at once; which frames each character has."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, groupby
from unicodedata import combining, normalize

import numpy as np
import torch
from torch import Tensor

from thunder.lanes.asr.data.vocabulary import Vocabulary

Span = tuple[int, int]  # frames: first, one past the last
Composed = tuple[str, list[Span], list[float]]


@dataclass(frozen=True)
class Decoded:
    """What was decoded in one utterance: texts in NFC, the best one with its frames."""

    text: str
    spans: list[tuple[int, int]]  # frames of each character: first, one past the last
    confidences: list[float]  # of each character: its largest posterior over its frames
    n_best: list[tuple[str, float]]  # text and log probability, best first


def greedy(log_probs: Tensor, lengths: Tensor, vocabulary: Vocabulary) -> list[str]:
    """Return the text of the best path of each utterance."""
    return [one.text for one in best_paths(log_probs, lengths, vocabulary)]


def best_paths(log_probs: Tensor, lengths: Tensor, vocabulary: Vocabulary) -> list[Decoded]:
    """Return the best path of each utterance: argmax, repeats collapsed, blanks dropped.

    Args:
        log_probs: (B, T, classes), log softmax.
        lengths: (B,) frames that count.
    """
    best, classes = log_probs.max(dim=-1)
    inside = torch.arange(best.shape[1], device=best.device) < lengths[:, None]
    changes = torch.ones_like(inside)
    changes[:, 1:] = classes[:, 1:] != classes[:, :-1]
    changes[:, 1:] |= ~inside[:, 1:]  # padding belongs to no run
    run = changes.cumsum(dim=1) - 1
    # The largest posterior and the number of frames of each run, by the run's number.
    peaks = torch.full_like(best, -torch.inf).scatter_reduce(1, run, best, "amax")
    sizes = torch.zeros_like(run).scatter_add(1, run, inside.long())
    starts = changes & inside & (classes != vocabulary.blank)
    scores = torch.where(inside, best, 0).sum(dim=1).tolist()
    rows, frames = starts.nonzero(as_tuple=True)
    runs = torch.stack([frames, sizes[rows, run[rows, frames]], classes[rows, frames]]).cpu()
    peak = peaks[rows, run[rows, frames]].exp().cpu()
    counts = starts.sum(dim=1).tolist()
    pieces = zip(runs.split(counts, dim=1), peak.split(counts), scores, strict=True)
    return [_decoded(*piece, vocabulary) for piece in pieces]


def aligned(log_probs: np.ndarray, classes: list[int], blank: int) -> list[tuple[int, int]]:
    """Return the frames of each class on the most probable path that spells the classes.

    Args:
        log_probs: (T, classes).
        classes: without blanks; T frames must be enough for them (one each, one between equals).
    """
    states = np.full(2 * len(classes) + 1, blank)
    states[1::2] = classes
    may_skip = np.zeros(len(states), bool)
    may_skip[3::2] = states[3::2] != states[1:-2:2]
    scores = np.full(len(states), -np.inf)
    scores[:2] = log_probs[0, states[:2]]
    back = np.zeros((len(log_probs), len(states)), np.int8)
    for frame in range(1, len(log_probs)):
        stay, step, skip = scores, _shifted(scores, 1), _shifted(scores, 2)
        options = np.stack([stay, step, np.where(may_skip, skip, -np.inf)])
        back[frame] = options.argmax(axis=0)
        scores = options.max(axis=0) + log_probs[frame, states]
    return _spans(back, int(len(states) - 2 + scores[-2:].argmax()) if classes else 0)


def composed(written: str, spans: list[Span], peaks: list[float]) -> Composed:
    """Return a text in NFC, and for each of its characters its frames and its confidence.

    A model may write the marks on one letter in any order, NFC has one; and a letter and a mark
    that are one character in NFC (é; but ẹ́ is two) share their frames and the lesser confidence.
    """
    text, frames, confidences = "", [], []
    for places in _clusters(written):
        cluster = "".join(written[place] for place in places)
        joined = normalize("NFC", cluster)
        text += joined
        if len(joined) == len(cluster):
            frames += [spans[place] for place in places]
            confidences += [peaks[place] for place in places]
            continue
        whole = (min(spans[place][0] for place in places), max(spans[place][1] for place in places))
        frames += [whole] * len(joined)
        confidences += [min(peaks[place] for place in places)] * len(joined)
    return text, frames, confidences


def _clusters(text: str) -> Iterator[list[int]]:
    """Yield the places of each letter and its marks, the marks in the order of NFC."""
    starts = accumulate(combining(char) == 0 for char in text)
    for _, group in groupby(zip(starts, range(len(text)), strict=True), key=lambda item: item[0]):
        yield sorted((place for _, place in group), key=lambda place: combining(text[place]))


def _decoded(run: Tensor, peaks: Tensor, score: float, vocabulary: Vocabulary) -> Decoded:
    starts, sizes, classes = run.tolist()
    spans = [(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    text, frames, confidences = composed(vocabulary.decode(classes), spans, peaks.tolist())
    return Decoded(text, frames, confidences, [(text, score)])


def _shifted(values: np.ndarray, by: int) -> np.ndarray:
    return np.concatenate([np.full(by, -np.inf), values])[: len(values)]


def _spans(back: np.ndarray, state: int) -> list[tuple[int, int]]:
    """Return the first and one past the last frame of each odd state, walking from the end."""
    spans: dict[int, tuple[int, int]] = {}
    for frame in range(len(back) - 1, -1, -1):
        if state % 2:
            spans[state] = (frame, spans.get(state, (0, frame + 1))[1])
        state -= int(back[frame, state])
    return [spans[state] for state in sorted(spans)]
