"""Which host takes the next run: each has so many seats; one that cannot be used is left out."""

import threading
import time
from collections.abc import Mapping, Sequence

from thunder.ground.errors import Stopped, ThunderError

_AGAIN_SECONDS = 60.0  # after which a host that could not be used is tried again
_LOOK_SECONDS = 0.2

_change = threading.Condition()
_taken: dict[str, int] = {}
_unfit: dict[str, tuple[float, ThunderError]] = {}


def take(
    names: Sequence[str],
    seats: int,
    stopping: threading.Event,
    besides: Mapping[str, ThunderError],
) -> str:
    """Wait for a free seat; return the host that has it, the one with the fewest runs.

    Args:
        seats: that each host has.
        besides: hosts that were tried for this run already, and why they do not take it.

    Raises:
        ThunderError: no host can be used, with the reason of the last.
    """
    with _change:
        while True:
            fit = [name for name in names if name not in besides and not _reason(name)]
            if not fit:
                raise _none_left(names, besides)
            free = [name for name in fit if _taken.get(name, 0) < seats]
            if free:
                name = min(free, key=lambda one: _taken.get(one, 0))
                _taken[name] = _taken.get(name, 0) + 1
                return name
            if stopping.is_set():
                raise Stopped
            _change.wait(_LOOK_SECONDS)


def hold(name: str) -> None:
    """Take a seat for a run that is on a host already, free or not."""
    with _change:
        _taken[name] = _taken.get(name, 0) + 1


def leave(name: str) -> None:
    """Give a seat back."""
    with _change:
        _taken[name] -= 1
        _change.notify_all()


def refuse(name: str, error: ThunderError) -> bool:
    """Leave a host out for a while; say whether this is news."""
    with _change:
        is_news = _reason(name) is None
        _unfit[name] = (time.monotonic(), error)
        return is_news


def _reason(name: str) -> ThunderError | None:
    refused_at, error = _unfit.get(name, (0.0, None))
    return error if error and time.monotonic() - refused_at < _AGAIN_SECONDS else None


def _none_left(names: Sequence[str], besides: Mapping[str, ThunderError]) -> ThunderError:
    errors = [error for name in names if (error := besides.get(name) or _reason(name))]
    if len(errors) == 1:
        return errors[0]
    listed = "\n".join(f"  {error}" for error in errors)
    return ThunderError(f"no host can take this run:\n{listed}", errors[-1].cause)
