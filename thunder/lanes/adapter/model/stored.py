"""Where the tensors of a model lie in its files, so that a part of one can be read; no backend."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thunder.lanes.adapter.model import model_folder


@dataclass(frozen=True)
class Tensor:
    """A tensor in a file, from byte `begin` to `end`."""

    file: Path
    begin: int
    end: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Return its bytes."""
        return self.end - self.begin

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return some rows as unsigned integers, for numpy has no bfloat16; nothing else is read.

        The bytes of the file are mapped: they take no memory that the system could not take back.
        """
        width = self.size // prod(self.shape)
        return np.memmap(self.file, f"u{width}", "r", self.begin, self.shape)[start:stop]


def tensors(folder: Path) -> dict[str, Tensor]:
    """Return every tensor that is loaded from a folder without faults, by its name."""
    return {
        name: _tensor(path, start, entry)
        for path, (header, start) in model_folder.headers(folder).items()
        for name, entry in header.items()
    }


def _tensor(file: Path, start: int, entry: dict[str, Any]) -> Tensor:
    begin, end = entry["data_offsets"]
    return Tensor(file, start + begin, start + end, tuple(entry["shape"]))
