"""A spectrogram as a small picture: log-mel energies in shades of grey, in PNG."""

import struct
import zlib
from functools import cache

import numpy as np
import numpy.typing as npt

from thunder.lanes.asr.features.layouts import SAMPLE_RATE

WINDOW, HOP, SIZE = 400, 160, 512  # samples: 25 ms every 10 ms, in a transform of 512
BANDS = 64  # mel, one pixel high each
DECIBELS = 60.0  # below the loudest; what is softer is white
SHADES = 16

Values = npt.NDArray[np.float64]


def png(samples: npt.NDArray[np.float32]) -> bytes:
    """Return the spectrogram of samples at 16 kHz: 100 pixels a second, low sounds at the foot."""
    decibels = 10 * np.log10(np.maximum(energies(samples), 1e-10))
    loudness = np.clip(1 + (decibels - decibels.max()) / DECIBELS, 0, 1)
    shades = np.round((1 - loudness[:, ::-1].T) * (SHADES - 1)).astype(np.uint8)
    return _encoded(shades)


def energies(samples: npt.NDArray[np.float32]) -> Values:
    """Return mel energies (windows, bands); window t is centred on sample 160 t."""
    count = -(-len(samples) // HOP)
    wave = np.zeros(count * HOP + WINDOW)
    wave[WINDOW // 2 : WINDOW // 2 + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[: count * HOP : HOP]
    power = np.abs(np.fft.rfft(windows * np.hanning(WINDOW), SIZE)) ** 2
    return np.asarray(power @ _filters().T)


@cache
def _filters() -> Values:
    """Return triangles (bands, bins) that are evenly spaced in mel."""
    most = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, most, BANDS + 2) / 2595) - 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    hertz = np.arange(SIZE // 2 + 1) * SAMPLE_RATE / SIZE
    sides = np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle))
    # A triangle between two bins would hold none of them.
    nearest = np.abs(hertz - middle) == np.abs(hertz - middle).min(axis=1, keepdims=True)
    return np.maximum(np.maximum(sides, 0), nearest)


def _encoded(shades: npt.NDArray[np.uint8]) -> bytes:
    """Return a PNG of shades (rows, columns) of grey in four bits, 0 black."""
    height, width = shades.shape
    even = np.pad(shades, ((0, 0), (0, width % 2)))
    packed = (even[:, ::2] << 4) | even[:, 1::2]
    lines = np.pad(packed, ((0, 0), (1, 0))).tobytes()  # each begins with its filter: none
    header = struct.pack(">IIBBBBB", width, height, 4, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
