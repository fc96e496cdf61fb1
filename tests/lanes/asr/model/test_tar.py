"""Temporal activation regularisation: its numbers by hand, and what it does not see."""

import pytest
import torch
from asr_models import batch, config, model

from thunder.lanes.asr.model import tar

# Two rows of two-dimensional states; the second has one frame that counts.
HIDDEN = torch.tensor([[[0.0, 0.0], [1.0, 3.0], [1.0, 1.0]], [[2.0, 0.0], [9.0, 9.0], [9.0, 9.0]]])
LENGTHS = torch.tensor([3, 1])


def test_differences_are_squared_and_averaged_over_pairs_and_dimensions() -> None:
    # First row: (1 + 9)/2 and 4/2, of which the mean is 3.5. The second row has no pair.
    term = tar.penalty(HIDDEN, LENGTHS, alpha=0.0, beta=0.1)
    assert term.item() == pytest.approx(0.1 * 3.5 / 2)


def test_activations_are_squared_and_averaged_over_frames_and_dimensions() -> None:
    # First row: (0 + 10/2 + 2/2)/3 = 2. Second row: 4/2.
    term = tar.penalty(HIDDEN, LENGTHS, alpha=0.5, beta=0.0)
    assert term.item() == pytest.approx(0.5 * (2 + 2) / 2)


def test_both_terms_add_up() -> None:
    both = tar.penalty(HIDDEN, LENGTHS, alpha=0.5, beta=0.1)
    assert both.item() == pytest.approx(0.5 * 2 + 0.1 * 3.5 / 2)


def test_activations_are_dropped_out_and_differences_are_not() -> None:
    torch.manual_seed(0)
    hidden = torch.ones(1, 4, 1000)
    lengths = torch.tensor([4])
    dropped = tar.penalty(hidden, lengths, alpha=1.0, beta=0.0, dropout=0.5)
    # Half of the numbers are 0, the others twice as large: their squares have a mean of 2.
    assert dropped.item() == pytest.approx(2, abs=0.2)
    assert dropped.item() != 2
    assert tar.penalty(hidden, lengths, alpha=0.0, beta=1.0, dropout=0.5).item() == 0


def test_the_default_draws_no_random_number() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    tar.penalty(HIDDEN, LENGTHS, alpha=0.0, beta=0.1, dropout=0.5)
    assert torch.equal(torch.rand(1), expected)


def test_frames_beyond_the_length_do_not_count() -> None:
    changed = HIDDEN.clone()
    changed[1, 1:] = 123
    first, second = (
        tar.penalty(hidden, LENGTHS, alpha=0.3, beta=0.1) for hidden in (HIDDEN, changed)
    )
    assert first.item() == second.item()


def test_a_batch_is_the_mean_of_its_rows() -> None:
    """So that the shares of several ranks add up whatever row lies where."""
    alone = [
        tar.penalty(HIDDEN[row : row + 1], LENGTHS[row : row + 1], alpha=0.3, beta=0.1)
        for row in range(2)
    ]
    together = tar.penalty(HIDDEN, LENGTHS, alpha=0.3, beta=0.1)
    assert together.item() == pytest.approx(sum(alone).item() / 2)


@pytest.mark.parametrize("lengths", [[0, 0], [1, 1]])
def test_rows_without_a_pair_cost_nothing(lengths: list[int]) -> None:
    hidden = HIDDEN.clone().requires_grad_()
    term = tar.penalty(hidden, torch.tensor(lengths), alpha=0.0, beta=1.0)
    term.backward()
    assert term.item() == 0
    assert not hidden.grad.any()


def test_the_penalty_is_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        term = tar.penalty(HIDDEN.bfloat16(), LENGTHS, alpha=1.0, beta=1.0)
    assert term.dtype == torch.float32


def test_steps_along_the_penalty_make_the_last_layer_slower() -> None:
    trained = model("tar").train()
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.05)
    frames, lengths = batch(60, 40)
    terms = []
    for _ in range(5):
        output = trained(frames, lengths)
        term = tar.penalty(output.hidden, output.lengths, **{**config()["tar"], "beta": 1.0})
        optimizer.zero_grad()
        term.backward()
        optimizer.step()
        terms.append(term.item())
    assert terms[-1] < 0.9 * terms[0]
