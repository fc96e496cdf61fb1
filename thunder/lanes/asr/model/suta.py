"""Single-utterance test-time adaptation, in evaluation alone; the model itself stays as it is."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from thunder.lanes.asr.model.ctc import CTCModel, Output
from thunder.lanes.asr.model.layers import LayerNorm

# As published: share of the entropy in the loss, and the temperature of the posteriors.
ENTROPY_SHARE = 0.3
TEMPERATURE = 2.5

Named = dict[str, Tensor]


def adapt(
    model: CTCModel, frames: Tensor, length: int, settings: Mapping[str, Any], *, blank: int = 0
) -> Tensor:
    """Return log probabilities (T', classes) of frames (T, dims), adapted to this utterance.

    AdamW takes `settings["steps"]` steps at `settings["learning_rate"]` to lower the entropy of the
    frames that are not blank and the confusion of classes, by the gains and offsets of the layer
    normalisations alone. After Lin, Li and Lee, "Listen, Adapt, Better WER" (2022).
    """
    lengths = torch.tensor([length], device=frames.device)
    output = adapt_batch(model, frames[None], lengths, settings, blank=blank)
    return output.log_probs[0, : int(output.lengths[0])]


def adapt_batch(
    model: CTCModel, frames: Tensor, lengths: Tensor, settings: Mapping[str, Any], *, blank: int = 0
) -> Output:
    """Return the output for frames (B, T, dims), each row adapted by itself as `adapt` does."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode(False), torch.enable_grad():
            # Clones, as tensors of an outer inference_mode cannot take part in gradients.
            return _adapt(model, frames.clone(), lengths.clone(), settings, blank)
    finally:
        model.train(training)


def _adapt(
    model: CTCModel, frames: Tensor, lengths: Tensor, settings: Mapping[str, Any], blank: int
) -> Output:
    frozen = {name: value.detach() for name, value in model.named_parameters()}
    adapted = _normalisations(model, len(frames))
    values = list(adapted.values())
    optimizer = torch.optim.AdamW(values, lr=settings["learning_rate"], weight_decay=0.0)
    for _ in range(settings["steps"]):
        output = functional_call(model, {**frozen, **adapted}, (frames, lengths))
        gradients = torch.autograd.grad(_losses(output, blank).sum(), values)
        for value, gradient in zip(values, gradients, strict=True):
            value.grad = gradient
        optimizer.step()
    with torch.no_grad():
        last: Output = functional_call(model, {**frozen, **adapted}, (frames, lengths))
    return last


def _normalisations(model: CTCModel, rows: int) -> Named:
    """The parameters of all layer normalisations, one copy per row."""
    return {
        f"{name}.{part}": value.detach().repeat(rows, 1, 1).requires_grad_()
        for name, module in model.named_modules()
        if isinstance(module, LayerNorm)
        for part, value in module.named_parameters()
    }


def _losses(output: Output, blank: int) -> Tensor:
    """The loss of each row, (B,)."""
    clock = torch.arange(output.log_probs.shape[1], device=output.log_probs.device)
    valid = clock < output.lengths[:, None]
    says = valid & (output.log_probs.argmax(dim=2) != blank)
    logs = (output.log_probs / TEMPERATURE).log_softmax(dim=2)
    probs = logs.exp()
    entropies = -(probs * logs).sum(dim=2)
    entropy = (entropies * says).sum(dim=1) / says.sum(dim=1).clamp(min=1)
    return ENTROPY_SHARE * entropy + (1 - ENTROPY_SHARE) * _confusion(probs * valid[..., None])


def _confusion(probs: Tensor) -> Tensor:
    """The share that a class has in common with the others, a mean over classes."""
    together = probs.transpose(1, 2) @ probs
    shares = together / together.sum(dim=2, keepdim=True).clamp(min=1e-12)
    return 1 - shares.diagonal(dim1=1, dim2=2).mean(dim=1)
