"""Decoding against the definition: all paths of tiny inputs, summed or compared one by one."""

import itertools
import unicodedata
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from thunder.lanes.asr.data import vocabulary
from thunder.lanes.asr.data.vocabulary import Vocabulary
from thunder.lanes.asr.evaluation import beam, decode

torch.set_num_threads(1)
THREE = Vocabulary(("_", "a", "b"), 0, "latin", 1)
BLANK_LAST = Vocabulary(("a", "b", "_"), 2, "latin", 1)
MARKS = Vocabulary(("_", "ߊ", "\u07eb", "\u07f2"), 0, "nko", 1)


def random_log_probs(seed: int, batch: int = 3, frames: int = 6, classes: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.log_softmax(2 * torch.randn(batch, frames, classes, generator=generator), dim=-1)


def of_path(path: Sequence[int], classes: int = 3, sharp: float = 6.0) -> Tensor:
    """Return posteriors (1, T, classes) that prefer one path."""
    return torch.log_softmax(torch.eye(classes)[list(path)][None] * sharp, dim=-1)


def spelled(path: Sequence[int], words: Vocabulary) -> str:
    """Return what a path writes, by the definition of CTC."""
    collapsed = (one for one, _ in itertools.groupby(path))
    return "".join(words.tokens[one] for one in collapsed if one != words.blank)


def every_text(log_probs: np.ndarray, words: Vocabulary) -> dict[str, float]:
    """Return the log probability of every text, summed over all paths."""
    totals: dict[str, float] = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        text, score = spelled(path, words), sum(row[one] for row, one in zip(log_probs, path))  # noqa: B905
        totals[text] = float(np.logaddexp(totals.get(text, -np.inf), score))
    return totals


@pytest.mark.parametrize("words", [THREE, BLANK_LAST], ids=["blank first", "blank last"])
@pytest.mark.parametrize("seed", range(10))
def test_greedy_spells_the_best_path(seed: int, words: Vocabulary) -> None:
    log_probs, lengths = random_log_probs(seed, frames=12), torch.tensor([12, 7, 1])
    for row, decoded in enumerate(decode.best_paths(log_probs, lengths, words)):
        best, path = log_probs[row, : lengths[row]].max(dim=-1)
        assert decoded.text == spelled(path.tolist(), words)
        assert decoded.n_best == [(decoded.text, pytest.approx(float(best.sum()), abs=1e-5))]


def test_a_character_has_the_frames_of_its_run_and_the_peak_among_them() -> None:
    path = [0, 1, 1, 1, 0, 1, 2, 2, 0]
    log_probs = of_path(path)
    log_probs[0, 2] = torch.log_softmax(torch.tensor([0.0, 9.0, 0.0]), dim=-1)
    decoded = decode.best_paths(log_probs, torch.tensor([9]), THREE)[0]
    assert decoded.text == "aab"
    assert decoded.spans == [(1, 4), (5, 6), (6, 8)]
    peaks = [float(log_probs[0, frame, one].exp()) for frame, one in ((2, 1), (5, 1), (6, 2))]
    assert decoded.confidences == pytest.approx(peaks)


def test_frames_beyond_the_length_are_never_heard() -> None:
    log_probs = of_path([1, 1, 1, 1, 2, 2])
    decoded = decode.best_paths(log_probs, torch.tensor([3]), THREE)[0]
    assert (decoded.text, decoded.spans) == ("a", [(0, 3)])
    surer, broken = log_probs.clone(), log_probs.clone()
    surer[0, 3] = torch.log_softmax(torch.tensor([0.0, 30.0, 0.0]), dim=-1)
    broken[0, 3:] = torch.nan
    for other in (surer, broken):
        assert decode.best_paths(other, torch.tensor([3]), THREE) == [decoded]


def test_a_row_is_heard_the_same_in_any_batch() -> None:
    log_probs, lengths = random_log_probs(3, batch=5, frames=20), torch.tensor([20, 3, 11, 8, 15])
    together = decode.best_paths(log_probs, lengths, THREE)
    for row, length in enumerate(lengths.tolist()):
        alone = decode.best_paths(log_probs[row : row + 1, :length], lengths[row : row + 1], THREE)[
            0
        ]
        assert alone.text == together[row].text
        assert alone.spans == together[row].spans


def test_silence_is_an_empty_text() -> None:
    for decoded in (
        decode.best_paths(of_path([0, 0, 0]), torch.tensor([3]), THREE)[0],
        beam.search(of_path([0, 0, 0]).numpy(), np.array([3]), THREE, 1)[0],
    ):
        assert (decoded.text, decoded.spans, decoded.confidences) == ("", [], [])


def test_marks_are_put_in_their_one_order_with_their_frames() -> None:
    # The letter, the nasal mark below, the tone above it: NFC has tone after nasality.
    log_probs = of_path([1, 2, 2, 3], classes=4)
    text = "ߊ\u07f2\u07eb"
    for decoded in (
        decode.best_paths(log_probs, torch.tensor([4]), MARKS)[0],
        beam.search(log_probs.numpy(), np.array([4]), MARKS, 1)[0],
    ):
        assert decoded.text == text
        assert decoded.spans == [(0, 1), (3, 4), (1, 3)]


def test_a_letter_and_its_mark_are_one_character_where_they_are_one_in_nfc() -> None:
    # Yoruba needs the acute by itself for ẹ́, and has é as a letter; a model may write e and acute.
    words = Vocabulary(("<blank>", "e", "ẹ", "\u0301"), 0, "yoruba", 1)
    log_probs = of_path([1, 3, 3, 0, 2, 3], classes=4)
    for decoded in (
        decode.best_paths(log_probs, torch.tensor([6]), words)[0],
        beam.search(log_probs.numpy(), np.array([6]), words, 1)[0],
    ):
        assert decoded.text == unicodedata.normalize("NFC", "e\u0301ẹ\u0301") == "éẹ\u0301"
        assert decoded.spans == [(0, 3), (4, 5), (5, 6)]
        assert len(decoded.confidences) == len(decoded.text)


def test_a_beam_adds_up_spellings_that_are_one_text() -> None:
    log_probs = torch.log_softmax(torch.tensor([[[0.0, 9, 0, 0], [0, 0, 3, 3], [0, 0, 3, 3]]]), -1)
    decoded = beam.search(log_probs.numpy(), np.array([3]), MARKS, 100)[0]
    texts = [text for text, _ in decoded.n_best]
    assert len(set(texts)) == len(texts)
    both = every_text(log_probs[0].numpy(), MARKS)
    assert dict(decoded.n_best)["ߊ\u07f2\u07eb"] == pytest.approx(
        np.logaddexp(both["ߊ\u07f2\u07eb"], both["ߊ\u07eb\u07f2"])
    )


@pytest.mark.parametrize("words", [THREE, BLANK_LAST], ids=["blank first", "blank last"])
@pytest.mark.parametrize("seed", range(10))
def test_a_wide_beam_is_the_sum_over_all_paths(seed: int, words: Vocabulary) -> None:
    log_probs, lengths = random_log_probs(seed), torch.tensor([6, 4, 1])
    for row, decoded in enumerate(beam.search(log_probs.numpy(), lengths.numpy(), words, 200)):
        expected = every_text(log_probs[row, : lengths[row]].double().numpy(), words)
        assert dict(decoded.n_best) == pytest.approx(expected, abs=1e-9)
        scores = [score for _, score in decoded.n_best]
        assert scores == sorted(scores, reverse=True)
        assert np.logaddexp.reduce(scores) == pytest.approx(0.0, abs=1e-6)  # of float32


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_a_narrow_beam_gives_no_text_more_than_it_has(seed: int, width: int) -> None:
    log_probs = random_log_probs(seed)
    for row, decoded in enumerate(beam.search(log_probs.numpy(), np.full(3, 6), THREE, width)):
        expected = every_text(log_probs[row].double().numpy(), THREE)
        assert 1 <= len(decoded.n_best) <= width
        assert all(score <= expected[text] + 1e-9 for text, score in decoded.n_best)


def test_a_beam_prefers_a_text_of_many_paths_to_the_best_path() -> None:
    # Blank twice is the best single path (0.36), but three paths spell `a` (0.64 together).
    log_probs = torch.tensor([[[0.6, 0.4, 1e-9], [0.6, 0.4, 1e-9]]]).log()
    assert decode.greedy(log_probs, torch.tensor([2]), THREE) == [""]
    assert beam.search(log_probs.numpy(), np.array([2]), THREE, 4)[0].text == "a"


def test_a_beam_hears_a_row_the_same_in_any_batch() -> None:
    words = vocabulary.make("latin")
    log_probs = random_log_probs(1, batch=4, frames=30, classes=40).numpy()
    lengths = np.array([30, 9, 21, 30])
    together = beam.search(log_probs, lengths, words, 5)
    for row in range(4):
        part = log_probs[row : row + 1, : lengths[row]]
        assert beam.search(part, lengths[row : row + 1], words, 5)[0] == together[row]


@pytest.mark.parametrize("text", ["", "a", "ab", "aa", "aba"])
@pytest.mark.parametrize("seed", range(4))
def test_an_alignment_is_the_best_path_of_the_text(seed: int, text: str) -> None:
    log_probs = random_log_probs(seed)[0].numpy()
    classes = THREE.encode(text)[0]
    paths = [path for path in itertools.product(range(3), repeat=6) if spelled(path, THREE) == text]
    best = max(paths, key=lambda path: sum(row[one] for row, one in zip(log_probs, path)))  # noqa: B905
    runs = [(one, len(list(group))) for one, group in itertools.groupby(best)]
    ends = list(itertools.accumulate(size for _, size in runs))
    expected = [(end - size, end) for (one, size), end in zip(runs, ends, strict=True) if one]
    assert decode.aligned(log_probs, classes, 0) == expected
