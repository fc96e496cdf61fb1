"""Several channels become one, by a rule that a person sets; what is not sound is refused."""

import numpy as np

from thunder.lanes.asr.features.rows import Unreadable

MIX = "mix"
RULES = (MIX, "left", "right", "first")
CANCELLED = 0.1  # of the channels' loudness: a mix that keeps less has lost the speech
QUIETEST = 2.0**-11  # 16 steps of 16 bits, 66 dB below full scale: a microphone that was off
SHORTEST_SECONDS = 0.025  # one window of the log-mel front end; no sound of speech is shorter


def mono(samples: np.ndarray, rule: str) -> np.ndarray:
    """Return one channel (n,) of samples (n, channels).

    Raises:
        Unreadable: the mix cancels, or the file has no such channel.
    """
    count = samples.shape[1]
    if count == 1:
        return np.asarray(samples[:, 0])
    if rule == MIX:
        return _mixed(samples)
    if rule != "first" and count > 2:
        raise Unreadable(f"{count} channels, none of them {rule}", channel="first")
    return np.asarray(samples[:, 1 if rule == "right" else 0])


def check_sound(samples: np.ndarray, rate: int) -> None:
    """Refuse samples (n,) that no speech is in: too short, not finite, silent, or nearly so."""
    if not np.isfinite(samples).all():
        raise Unreadable("samples that are not finite")
    if not samples.any():
        raise Unreadable("silent: every sample is 0")
    if len(samples) < SHORTEST_SECONDS * rate:
        raise Unreadable(f"too short: {len(samples) / rate * 1000:.1f} ms")
    offset = float(samples.mean())
    loudest = float(np.abs(samples - offset).max())
    if loudest < QUIETEST:
        constant = f", beside a constant offset of {offset:.3g}" if abs(offset) > QUIETEST else ""
        raise Unreadable(f"nearly silent: {_decibels(loudest)} at its loudest{constant}")


def offset(samples: np.ndarray) -> float:
    """Return the constant part (DC) of samples (n,) where it is louder than the sound, else 0."""
    mean = float(samples.mean())
    return mean if abs(mean) > float((samples - mean).std()) else 0.0


def _mixed(samples: np.ndarray) -> np.ndarray:
    mixed = samples.mean(axis=1)
    before, after = (float(np.sqrt(np.square(each).mean())) for each in (samples, mixed))
    if after < CANCELLED * before:
        rule = "left" if samples.shape[1] == 2 else "first"
        raise Unreadable(
            f"its {samples.shape[1]} channels cancel when mixed ({_decibels(before)} before, "
            f"{_decibels(after)} after)",
            channel=rule,
        )
    return np.asarray(mixed)


def _decibels(amplitude: float) -> str:
    """Return an amplitude below full scale in words."""
    return f"{20 * np.log10(amplitude):.0f} dB" if amplitude > 0 else "no sound"
