"""The layouts of frames in time: their names, rates, and how long an utterance is in each."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from thunder.ground.errors import ThunderError

if TYPE_CHECKING:
    from torch import Tensor

Frames = TypeVar("Frames", int, "Tensor")
SAMPLE_RATE = 16_000  # samples per second of all audio here
STACKED = 2  # frames of energies in one of log-mel frames


@dataclass(frozen=True)
class Layout:
    """One way to lay frames in time.

    Args:
        samples: of 16 kHz audio that one frame stands for.
        is_downsampled: whether frames were left out already; a stride on top loses speech.
    """

    name: str
    samples: int
    is_downsampled: bool

    @property
    def rate_hz(self) -> float:
        """Return the frames per second."""
        return SAMPLE_RATE / self.samples

    def frames(self, seconds: float) -> int:
        """Return the frames that cover a length of audio, the last one begun."""
        return self.frames_of(round(seconds * SAMPLE_RATE))

    def frames_of(self, samples: int) -> int:
        """Return the frames that cover so many samples at 16 kHz, the last one begun."""
        return -(-samples // self.samples)


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("log_mel_50hz", 320, is_downsampled=False),
        Layout("whisper_50hz", 320, is_downsampled=False),
        Layout("whisper_12p5hz", 1280, is_downsampled=True),
    )
}


def named(name: str) -> Layout:
    """Return a layout by its name."""
    if name not in LAYOUTS:
        raise ThunderError(f"no feature layout {name!r}; there is {', '.join(LAYOUTS)}", "data")
    return LAYOUTS[name]


def output_length(frames: Frames, stride: int) -> Frames:
    """Return how many frames the temporal convolution of a model leaves of so many."""
    return (frames - 1) // stride + 1


def check_stride(name: str, stride: int) -> None:
    """Refuse a stride on frames that were downsampled before.

    Together they leave 3 frames a second: every posterior is blank, and no key of a state dict
    is missing.
    """
    layout = named(name)
    if stride > 1 and layout.is_downsampled:
        raise ThunderError(
            f"model.stride: {stride} on features of layout {name!r}, which were downsampled "
            f"to {layout.rate_hz:g} Hz before; use model.stride=1, or features at 50 Hz"
        )
