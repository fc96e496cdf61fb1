"""The fast-weight adapter: what it computes, what it forgets, what it must not see."""

from typing import Any

import pytest
import torch
from asr_models import CLASSES, DIMS, batch, config, model
from torch import Generator, Tensor, nn

from thunder.lanes.asr.model import ctc, ttt

WIDTH, INNER, CHUNK = 6, 10, 4
Rows = tuple[Tensor, Tensor, Tensor]


def adapter(learning_rate: float = 0.3, chunk: int = CHUNK) -> ttt.InPlaceTTTAdapter:
    generator = Generator().manual_seed(0)
    return ttt.InPlaceTTTAdapter(
        WIDTH, learning_rate=learning_rate, chunk=chunk, generator=generator
    )


def down() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(INNER, WIDTH)


def inner(*lengths: int, seed: int = 2) -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(seed)
    return torch.randn(len(lengths), max(lengths), INNER, generator=generator), torch.tensor(
        lengths
    )


def by_matrices(
    layer: nn.Linear, tested: ttt.InPlaceTTTAdapter, states: Tensor, order: list[int] | None = None
) -> Tensor:
    """Return what one utterance (T, inner) gives, by weights and torch's own gradient of them."""
    slow = layer(states)
    chunks = range(0, len(states), tested.chunk)
    outputs: dict[int, Tensor] = {}
    weight = layer.weight.clone()  # the inner gradient is of this place alone, not of slow
    for start in [chunks[index] for index in order or range(len(chunks))]:
        here = slice(start, start + tested.chunk)
        outputs[start] = nn.functional.linear(states[here], weight, layer.bias)
        if len(states[here]) < 2:
            continue
        inside = nn.functional.linear(states[here][:-1], weight, layer.bias)
        error = inside - slow[here][1:] @ tested.target.T
        loss = error.square().sum(dim=1).mean()
        (gradient,) = torch.autograd.grad(loss, weight, create_graph=True)
        weight = weight - tested.learning_rate * gradient / gradient.norm().clamp(min=1)
    return torch.cat([outputs[start] for start in chunks])


@pytest.mark.parametrize("learning_rate", [1e-3, 0.3, 3.0])
@pytest.mark.parametrize("frames", [1, 3, 4, 5, 9, 16, 18])
def test_it_computes_what_changing_the_weights_would(frames: int, learning_rate: float) -> None:
    tested, layer = adapter(learning_rate), down()
    states, lengths = inner(frames)
    output = tested(states, layer(states), lengths)[0]
    assert torch.allclose(output, by_matrices(layer, tested, states[0]), atol=1e-5)


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_its_gradients_are_those_of_changing_the_weights(scale: float) -> None:
    """A small scale takes the gradient of the inner loss as it is, a large one its clipped form."""
    results = []
    for ours in (True, False):
        tested, layer = adapter(), down()
        states = (inner(14)[0] * scale).requires_grad_()
        if ours:
            output = tested(states, layer(states), torch.tensor([14]))
        else:
            output = by_matrices(layer, tested, states[0])
        output.square().sum().backward()
        results.append([tested.target.grad, layer.weight.grad, layer.bias.grad, states.grad])
    for mine, plain in zip(*results, strict=True):
        assert mine.any()
        assert torch.allclose(mine, plain, rtol=1e-3, atol=1e-5)


def test_a_shuffled_run_takes_the_chunks_in_the_drawn_order() -> None:
    tested, layer = adapter(), down()
    states, lengths = inner(14)
    order = ttt.shuffled_order(4).tolist()
    output = tested(states, layer(states), lengths, shuffled=True)[0]
    assert torch.allclose(output, by_matrices(layer, tested, states[0], order), atol=1e-5)
    assert not torch.allclose(output, tested(states, layer(states), lengths)[0], atol=1e-4)


def test_a_shuffled_order_changes_all_but_a_single_chunk() -> None:
    orders = [ttt.shuffled_order(chunks).tolist() for chunks in range(1, 13)]
    assert orders[0] == [0]
    for chunks, order in enumerate(orders[1:], start=2):
        assert sorted(order) == list(range(chunks))
        assert order != list(range(chunks))


def test_a_shuffled_order_is_one_for_all_lengths() -> None:
    longest = ttt.shuffled_order(12).tolist()
    for chunks in range(1, 12):
        assert ttt.shuffled_order(chunks).tolist() == [at for at in longest if at < chunks]


@pytest.mark.parametrize("shuffled", [False, True])
def test_an_utterance_forgets_its_neighbours(shuffled: bool) -> None:
    tested, layer = adapter(), down()
    states, lengths = inner(18, 11, 3, 16)
    together = tested(states, layer(states), lengths, shuffled=shuffled)
    turned = tested(states.flip(0), layer(states.flip(0)), lengths.flip(0), shuffled=shuffled)
    changed = states.clone()
    changed[0] *= -3
    beside = tested(changed, layer(changed), lengths, shuffled=shuffled)
    for row, length in enumerate(lengths.tolist()):
        alone = states[row : row + 1, :length]
        output = tested(alone, layer(alone), lengths[row : row + 1], shuffled=shuffled)[0]
        assert torch.allclose(together[row, :length], output, atol=1e-5)
        assert torch.allclose(turned.flip(0)[row, :length], output, atol=1e-5)
        assert row == 0 or torch.equal(together[row], beside[row])


def test_frames_beyond_the_length_teach_nothing() -> None:
    """Of utterances that end inside a chunk the padding must not reach the chunk's step."""
    tested, layer = adapter(), down()
    states, lengths = inner(18, 10)
    changed = states.clone()
    changed[1, 10:] = 50
    plain, noisy = (tested(some, layer(some), lengths)[1, :10] for some in (states, changed))
    assert torch.equal(plain, noisy)


@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_a_chunk_does_not_see_what_comes_after_it(chunk: int) -> None:
    tested, layer = adapter(), down()
    states, lengths = inner(16)
    end = (chunk + 1) * CHUNK
    changed = states.clone()
    changed[:, end:] += 1
    plain, other = (tested(some, layer(some), lengths)[:, :end] for some in (states, changed))
    assert torch.equal(plain, other)


@pytest.mark.parametrize("frame", [4, 5, 7])
def test_a_frame_does_not_see_its_own_step(frame: int) -> None:
    """Nor that of its chunk: another frame of a chunk changes only itself and later chunks."""
    tested, layer = adapter(), down()
    states, lengths = inner(12)
    changed = states.clone()
    changed[:, frame] += 1
    plain, other = (tested(some, layer(some), lengths)[0] for some in (states, changed))
    moved = (plain != other).any(dim=1).nonzero().flatten().tolist()
    assert moved == [frame, 8, 9, 10, 11]


def test_the_first_chunk_is_the_trained_layer() -> None:
    tested, layer = adapter(), down()
    states, lengths = inner(12)
    slow = layer(states)
    output = tested(states, slow, lengths)
    assert torch.equal(output[:, :CHUNK], slow[:, :CHUNK])
    assert not torch.equal(output[:, CHUNK:], slow[:, CHUNK:])


def test_a_step_is_at_most_the_learning_rate_long() -> None:
    tested, layer = adapter(0.25, chunk=2), down()
    states = torch.full((1, 4, INNER), 1e3)
    slow = layer(states)
    change = tested(states, slow, torch.tensor([4]))[0, 2:] - slow[0, 2:]
    # One frame alone makes the step; along it Δz is as long as the step times |z|.
    longest = 0.25 * states[0, 0].norm()
    assert change.norm(dim=1).tolist() == pytest.approx([longest.item()] * 2, rel=1e-4)


@pytest.mark.parametrize("chunk", [1, 4])
def test_a_step_of_nothing_is_the_trained_layer_bit_for_bit(chunk: int) -> None:
    tested, layer = adapter(0.0, chunk), down()
    states, lengths = inner(14, 9)
    states.requires_grad_()
    slow = layer(states)
    for shuffled in (False, True):
        output = tested(states, slow, lengths, shuffled=shuffled)
        assert torch.equal(output, slow)
        adapted, plain = (
            torch.autograd.grad(some.pow(2).sum(), [states, layer.weight], retain_graph=True)
            for some in (output, slow)
        )
        assert all(torch.equal(one, other) for one, other in zip(adapted, plain, strict=True))


def without_steps() -> dict[str, Any]:
    return {**config("trajectory_ttt"), "ttt": {"learning_rate": 0.0, "chunk": 8}}


def trained(settings: dict[str, Any], steps: int) -> tuple[list[Tensor], ctc.CTCModel]:
    """Return the log probabilities of some steps with dropout, and the model after them."""
    torch.manual_seed(0)
    built = ctc.build(settings, DIMS, CLASSES).train()
    optimizer = torch.optim.AdamW(built.parameters(), lr=1e-2, weight_decay=0.1)
    targets = torch.arange(1, CLASSES).repeat(2, 1)
    outputs = []
    for step in range(steps):
        frames, lengths = batch(80, 61, seed=step)
        output = built(frames, lengths)
        loss = nn.functional.ctc_loss(
            output.log_probs.transpose(0, 1), targets, output.lengths, torch.tensor([10, 10])
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(built.parameters(), 1.0)
        optimizer.step()
        outputs.append(output.log_probs.detach())
    return outputs, built


def test_a_learning_rate_of_zero_is_mode_trajectory_bit_for_bit() -> None:
    plain, plain_model = trained(config("trajectory"), steps=4)
    adapted, adapted_model = trained(without_steps(), steps=4)
    assert all(torch.equal(one, other) for one, other in zip(plain, adapted, strict=True))
    weights, gradients = plain_model.state_dict(), dict(plain_model.named_parameters())
    for name, value in adapted_model.named_parameters():
        if name != "ttt.target":
            assert torch.equal(value, weights[name]), name
            assert torch.equal(value.grad, gradients[name].grad), name
    assert adapted_model.ttt.target.grad is None
    assert torch.equal(
        adapted_model.ttt.target, ctc.build(without_steps(), DIMS, CLASSES).ttt.target
    )


def test_a_learning_rate_above_zero_is_not() -> None:
    plain, _ = trained(config("trajectory"), steps=2)
    adapted, _ = trained(config("trajectory_ttt"), steps=2)
    assert not torch.equal(plain[0], adapted[0])


def test_switched_off_it_is_the_model_without_it() -> None:
    tested, plain = model("trajectory_ttt"), model("trajectory")
    frames, lengths = batch(80, 61)
    off, on, shuffled = (
        tested(frames, lengths, ttt=way).log_probs for way in ("off", "on", "shuffled")
    )
    assert torch.equal(off, plain(frames, lengths).log_probs)
    assert not torch.equal(on, off)
    assert not torch.equal(shuffled, on)
    assert not torch.equal(shuffled, off)


def test_the_last_layer_alone_has_fast_weights() -> None:
    tested = model("trajectory_ttt")
    calls: list[Tensor] = []
    tested.ttt.register_forward_pre_hook(lambda _, given: calls.append(given[0]))
    seen: list[Tensor] = []
    tested.layers[-1].down.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    tested(*batch(80, 61))
    assert len(calls) == 1
    assert calls[0] is seen[0]


@pytest.mark.parametrize("way", ["off", "shuffled"])
def test_other_modes_have_nothing_to_switch(way: ctc.TTT) -> None:
    plain = model("trajectory")
    frames, lengths = batch(80, 61)
    assert torch.equal(plain(frames, lengths, ttt=way).log_probs, plain(frames, lengths).log_probs)


def test_learning_reaches_the_target_and_helps() -> None:
    """P learns an update that lowers the loss: the inner step is trained through."""
    tested, layer = adapter(1.0), down()
    states, lengths = inner(16, 16)
    goal = layer(states).detach() + 0.1
    optimizer = torch.optim.Adam([tested.target], lr=0.05)
    losses = []
    for _ in range(30):
        loss = (tested(states, layer(states).detach(), lengths) - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
