"""One row on its way to frames, and what can come of it."""

from dataclasses import dataclass

import numpy as np

# Rows of a task; shards hold whole chunks, so a later attempt makes the same ones.
CHUNK_ROWS = 16


class Unreadable(Exception):
    """Audio without usable sound; the message is the reason, without the file's name.

    Args:
        channel: the rule by which it can be heard all the same.
    """

    def __init__(self, reason: str, channel: str | None = None) -> None:
        super().__init__(reason)
        self.channel = channel

    def told(self, option: str) -> str:
        """Return the reason, and what to do where a channel can be heard.

        Args:
            option: that chooses the channel, of an import or of a job.
        """
        return f"{self}: hear one, by {option}={self.channel}" if self.channel else str(self)


@dataclass(frozen=True)
class Row:
    """What is needed of a row of the pairs file.

    Args:
        audio: its file, absolute or in the data folder.
        duration_s: its length as the data says, for features without audio.
    """

    feat_id: str
    line: int
    audio: str | None
    duration_s: float | None


@dataclass(frozen=True)
class Framed:
    """The frames of a row.

    Args:
        frames: float16 (n, dims).
        duration_s: the true length of the audio, also where it was cut.
        is_cut: whether the audio was longer than what is kept.
        is_padded: whether the true length is not known, so that padding may be among the frames.
    """

    row: Row
    frames: np.ndarray
    duration_s: float
    is_cut: bool
    is_padded: bool = False


@dataclass(frozen=True)
class Rejected:
    """A row that has no usable audio or features of its own."""

    row: Row
    reason: str


@dataclass(frozen=True)
class Misfit:
    """A row whose features are not of the layout or width that was asked for: the job's end."""

    row: Row
    reason: str


Outcome = Framed | Rejected | Misfit


def framed(
    row: Row, frames: np.ndarray, duration_s: float, *, is_cut: bool, is_padded: bool = False
) -> Framed | Rejected:
    """Return frames as float16, or a rejection where a value has no finite one."""
    with np.errstate(over="ignore"):  # found by the next line
        half = np.ascontiguousarray(frames, dtype="<f2")
    if not np.isfinite(half).all():
        bad = int((~np.isfinite(half)).any(axis=1).sum())
        return Rejected(row, f"features that are not finite in float16, in {bad} frames")
    return Framed(row, half, duration_s, is_cut, is_padded)
