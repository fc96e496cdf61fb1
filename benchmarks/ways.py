"""Two ways through one epoch of the same rows: the ASR lane's, and the one that is published."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thunder.backends.torch.machine import Machine
from thunder.backends.torch.peers import Peers
from thunder.lanes.asr.features import layouts
from thunder.lanes.asr.material import Material
from thunder.lanes.asr.model import ctc
from thunder.lanes.asr.training import epoch, learner, loop, validation
from thunder.lanes.asr.utterances import Utterances


class Ours:
    """The lane's own epochs."""

    def __init__(self, material: Material, machine: Machine) -> None:
        self.material, self.machine = material, machine
        self.learner = loop.learner_of(material, machine, Peers(), None)

    def epoch(self, number: int) -> int:
        """Train and validate one epoch; return its rows."""
        epoch.train(self.material, self.learner, number, 0, silent)
        validation.validate(self.learner.model, self.material, self.machine, Peers())
        return int(self.material.splits["train"].fits.sum())


class Published:
    """A training script as they are published: one padded shape, plain torch, a loop of rows."""

    def __init__(self, material: Material, machine: Machine) -> None:
        config, letters, store = material.config, material.vocabulary, material.store
        self.material, self.machine = material, machine
        self.window = layouts.named(store.layout).frames(config["features"]["seconds"])
        torch.manual_seed(config["seed"])
        self.model = ctc.build(config, store.dims, len(letters.tokens)).to(machine.device)
        self.loss = nn.CTCLoss(blank=letters.blank, zero_infinity=True)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=learner.peak_rate(config),
            betas=(0.9, 0.98),
            weight_decay=0.01,
        )
        self.frames = {name: self._padded(material.splits[name]) for name in ("train", "valid")}

    def epoch(self, number: int) -> int:
        """Train and validate one epoch; return its rows."""
        order = list(range(len(self.material.splits["train"].ids)))
        random.Random(number).shuffle(order)
        size = self.material.config["train"]["batch_size"]
        self.model.train()
        for start in range(0, len(order), size):
            loss = self._loss("train", order[start : start + size])
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
        self._validate()
        return len(order)

    def _padded(self, split: Utterances) -> Tensor:
        store = self.material.store
        frames = np.zeros((len(split.ids), self.window, store.dims), np.float16)
        for place, row in zip(frames, split.rows, strict=True):
            stored = store.frames(int(row))[: self.window]
            place[: len(stored)] = stored
        return torch.from_numpy(frames)

    def _loss(self, name: str, rows: list[int]) -> Tensor:
        targets = [self.material.splits[name].targets[row] for row in rows]
        output, device = self._output(name, rows), self.machine.device
        return self.loss(  # type: ignore[no-any-return]
            output.log_probs.transpose(0, 1),
            torch.tensor([one for target in targets for one in target], device=device),
            output.lengths,
            torch.tensor([len(target) for target in targets], device=device),
        )

    def _output(self, name: str, rows: list[int]) -> ctc.Output:
        lengths = torch.full((len(rows),), self.window)
        frames = self.frames[name][rows].to(self.machine.device).float()
        with self.machine.autocast():
            output: ctc.Output = self.model(frames, lengths)
        return output

    @torch.no_grad()
    def _validate(self) -> float:
        """Return the mean of the rows' error rates, each found in Python."""
        self.model.eval()
        valid, rates = self.material.splits["valid"], []
        for row in range(len(valid.ids)):
            self._loss("valid", [row])
            best = self._output("valid", [row]).log_probs[0].argmax(-1).tolist()
            path = [one for n, one in enumerate(best) if n == 0 or one != best[n - 1]]
            written = [one for one in path if one != self.material.vocabulary.blank]
            target = valid.targets[row]
            rates.append(_edits(target, written) / max(1, len(target)))
        return sum(rates) / len(rates)


def silent(event: dict[str, Any]) -> None:
    """Take no notice of an event."""


def _edits(first: list[int], second: list[int]) -> int:
    """Return the Levenshtein distance, by the textbook."""
    before = list(range(len(second) + 1))
    for i, one in enumerate(first, 1):
        now = [i]
        for j, two in enumerate(second, 1):
            now.append(min(before[j] + 1, now[-1] + 1, before[j - 1] + (one != two)))
        before = now
    return before[-1]
