"""The CTC model: frozen features in, log probabilities of the classes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from thunder.ground import draws
from thunder.ground.errors import Faults, ThunderError
from thunder.lanes.asr.features import layouts
from thunder.lanes.asr.model import trajectory
from thunder.lanes.asr.model.bias import TrajectoryBias
from thunder.lanes.asr.model.definitions import flags
from thunder.lanes.asr.model.layers import Adapter, EncoderLayer, LayerNorm
from thunder.lanes.asr.model.ttt import InPlaceTTTAdapter

TTT = Literal["on", "off", "shuffled"]
STRIDES = (1, 2, 4)
POSITION_SCALE = 0.02


@dataclass(frozen=True)
class Output:
    """What the model says of a batch."""

    log_probs: Tensor  # (B, T', classes) float32, log softmax
    lengths: Tensor  # (B,) frames that count
    hidden: Tensor  # (B, T', width) output of the last layer
    scalars: Tensor | None  # (B, T', 7) in the order of oracle.NAMES


class CTCModel(nn.Module):
    """A transformer over strided frames, with the additions of its mode."""

    def __init__(self, config: Mapping[str, Any], dims: int, classes: int) -> None:
        super().__init__()
        model, size, mode = config["model"], config["model"]["size"], flags(config["mode"])
        width, dropout = size["width"], model["dropout"]
        self.stride = model["stride"]
        self.looking_back = dict(config["trajectory"])
        self.input_proj = nn.Linear(dims, width)
        self.dropout = nn.Dropout(dropout)
        self.temporal_conv = nn.Conv1d(
            width, width, size["kernel"], stride=self.stride, padding=size["kernel"] // 2
        )
        self.positions = nn.Parameter(torch.randn(size["positions"], width) * POSITION_SCALE)
        self.layers = nn.ModuleList(
            EncoderLayer(width, size["heads"], size["feedforward"], dropout)
            for _ in range(size["layers"])
        )
        self.norm = LayerNorm(width)
        self.output_proj = nn.Linear(width, classes)
        self.bias = (
            TrajectoryBias(size["heads"], _generator(config, "bias"))
            if mode.use_trajectory
            else None
        )
        self.ttt = (
            InPlaceTTTAdapter(width, generator=_generator(config, "ttt"), **config["ttt"])
            if mode.use_ttt
            else None
        )

    def forward(
        self, frames: Tensor, lengths: Tensor, *, ttt: TTT = "on", scalars: bool = False
    ) -> Output:
        """Return the log probabilities for frames (B, T, dims), of which `lengths` (B,) count.

        Args:
            ttt: whether fast weights adapt, in mode trajectory_ttt, and in which order of chunks.
            scalars: compute the trajectory scalars also where the mode does not need them.
        """
        lengths = lengths.to(frames.device)
        states = self._states(frames, lengths)
        lengths = layouts.output_length(lengths, self.stride)
        self._check_positions(states.shape[1])
        measured = None
        if scalars or self.bias is not None:
            measured = trajectory.compute(states.detach(), lengths, **self.looking_back)
        hidden = self._encode(states, lengths, measured, ttt)
        logits = self.output_proj(self.norm(hidden))
        return Output(logits.float().log_softmax(dim=2), lengths, hidden, measured)

    def _states(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """What the temporal convolution makes of the frames; it sees zeros after the last."""
        projected = self.dropout(F.gelu(self.input_proj(frames)))
        projected = projected.masked_fill(~_first(lengths, frames.shape[1])[..., None], 0.0)
        return F.gelu(self.temporal_conv(projected.transpose(1, 2))).transpose(1, 2)

    def _check_positions(self, frames: int) -> None:
        if frames > len(self.positions):
            raise ThunderError(
                f"model.size.positions is {len(self.positions)}, but an utterance has {frames} "
                f"frames after the stride of {self.stride}: take more positions, a larger stride, "
                "or cut utterances at fewer features.seconds"
            )

    def _encode(self, states: Tensor, lengths: Tensor, measured: Tensor | None, ttt: TTT) -> Tensor:
        # An empty row attends to its first frame: some kernels give NaN where no key is left.
        keep = _first(lengths.clamp(min=1), states.shape[1])
        mask = keep[:, None, None, :]
        if self.bias is not None and measured is not None:
            mask = self.bias(measured, keep)
        hidden = states + self.positions[: states.shape[1]]
        adapter = self._adapter(lengths, ttt)
        for number, layer in enumerate(self.layers, start=1):
            hidden = layer(hidden, mask, adapter if number == len(self.layers) else None)
        return hidden

    def _adapter(self, lengths: Tensor, ttt: TTT) -> Adapter | None:
        if self.ttt is None or ttt == "off":
            return None
        return partial(self.ttt.__call__, lengths=lengths, shuffled=ttt == "shuffled")


def build(config: Mapping[str, Any], dims: int, classes: int) -> CTCModel:
    """Return the model of an `asr` config for frames of `dims` numbers and so many classes.

    What a mode adds draws from generators of its own, so that with one seed the weights that modes
    share are equal. A size that does not fit together raises Faults.
    """
    size = config["model"]["size"]
    faults = []
    if size["width"] % size["heads"]:
        faults.append(f"heads: {size['heads']} does not divide the width of {size['width']}")
    if size["kernel"] % 2 == 0:
        faults.append(f"kernel: {size['kernel']} is even; a frame has to lie in its middle")
    if faults:
        raise Faults("model.size does not fit together", faults)
    if config["model"]["stride"] not in STRIDES:
        raise ThunderError(f"model.stride is {config['model']['stride']}; it may be 1, 2 or 4")
    return CTCModel(config, dims, classes)


def count(config: Mapping[str, Any], dims: int, classes: int) -> int:
    """Return the number of parameters, without room for the large ones."""
    with torch.device("meta"):
        model = build(config, dims, classes)
    return sum(parameter.numel() for parameter in model.parameters())


def _generator(config: Mapping[str, Any], part: str) -> Generator:
    """A source of random numbers of its own, always on the CPU: the same weights on any device."""
    drawn = draws.stream(config["seed"], "asr", part).random()
    return Generator().manual_seed(int(drawn * 2**53))


def _first(lengths: Tensor, frames: int) -> Tensor:
    return torch.arange(frames, device=lengths.device) < lengths[:, None]
