"""What an epoch is judged by: the loss of every validation row, the CER of the first of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from thunder.backends.torch.machine import Machine
from thunder.backends.torch.peers import Peers
from thunder.lanes.asr.evaluation import decode
from thunder.lanes.asr.training import batches, epoch
from thunder.lanes.asr.training.batches import Batch
from thunder.lanes.asr.training.learner import on_device, row_losses
from thunder.language import spelling
from thunder.scoring import counts

if TYPE_CHECKING:
    from thunder.lanes.asr.material import Material


@dataclass(frozen=True)
class Validated:
    """What a model does on the validation rows."""

    losses: NDArray[np.float32]  # of the rows that fit, in their order
    cer: float  # micro, normalised, over the first `evaluate.valid_cer_rows` rows


def validate(
    model: nn.Module,
    material: "Material",
    machine: Machine,
    peers: Peers,
    beat: Callable[[], None] = lambda: None,
) -> Validated:
    """Return losses and CER, each rank having computed its share of the batches.

    Args:
        beat: called after each batch.
    """
    valid = material.splits["valid"]
    losses = np.zeros(len(valid.ids))
    texts: dict[int, str] = {}
    model.eval()
    for batch in batches.ahead(_share(material, peers)):
        losses[batch.rows] = _judge(model, batch, material, machine, texts)
        beat()
    model.train()
    numbers = np.concatenate([losses, _edits(material, texts)])
    sums = torch.from_numpy(numbers).to(machine.device)
    peers.sum(sums)
    *summed, edits, chars = sums.tolist()
    return Validated(np.array(summed, np.float32)[valid.fits], edits / chars if chars else 0.0)


def _share(material: "Material", peers: Peers) -> Iterator[Batch]:
    valid, size = material.splits["valid"], material.config["train"]["batch_size"]
    order = batches.evaluation(valid.frames, size)
    for rows in order[peers.rank :: peers.world]:
        yield batches.collate(material.store, valid, rows, epoch.window(material))


def _judge(
    model: nn.Module, batch: Batch, material: "Material", machine: Machine, texts: dict[int, str]
) -> NDArray[np.float64]:
    """Return the losses of a batch, and add the texts of its rows that are followed."""
    followed = material.config["evaluate"]["valid_cer_rows"]
    with torch.no_grad(), machine.autocast():
        output = model(*on_device(batch, machine))
    losses = row_losses(output.log_probs, output.lengths, batch, material.vocabulary.blank)
    if (batch.rows < followed).any():
        written = decode.greedy(output.log_probs, output.lengths, material.vocabulary)
        pairs = zip(batch.rows.tolist(), written, strict=True)
        texts.update({row: text for row, text in pairs if row < followed})
    return losses.double().cpu().numpy()


def _edits(material: "Material", texts: dict[int, str]) -> list[int]:
    """Return the edits that the texts need, and the characters that they should have."""
    valid = material.splits["valid"]
    references = [valid.references[row] for row in texts]
    counted = counts(references, list(texts.values()), material.form, spelling.MAIN)
    return [int(counted.edits.sum()), int(counted.chars.sum())]
