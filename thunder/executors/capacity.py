"""Which host takes the next run: each has a capacity; one that cannot be used is left out.

Of this launcher's own runs alone; those of others are known on the host (`occupancy`).
"""

import threading
import time
from collections.abc import Mapping, Sequence

from thunder.ground.errors import Stopped, ThunderError
from thunder.hosts.connection import Lost

_AGAIN_SECONDS = 60.0  # after which a host that could not be used is tried again
_LOOK_SECONDS = 0.2
RETURN_SECONDS = 120.0  # that a host that was lost is waited for: as long as machines start
_RETRY_SECONDS = 10.0  # between two tries of one, where no other host is left
_FULL_SECONDS = 2.0  # after which a host is asked again whose slots others have

_change = threading.Condition()
_taken: dict[str, int] = {}
_unfit: dict[str, tuple[float, ThunderError]] = {}
_lost: dict[str, float] = {}  # since when hosts that may come back have been out of reach
_full: dict[str, float] = {}  # since when others have had the slots of hosts


def take(
    names: Sequence[str],
    each: int,
    stopping: threading.Event,
    besides: Mapping[str, ThunderError],
    first: str | None = None,
) -> str:
    """Wait until a host has room for a run; return its name, the one with the fewest runs.

    Where all that are left were lost a moment ago, one that answers again is waited for.

    Args:
        each: how many runs a host takes at a time.
        besides: hosts that were tried for this run already, and why they do not take it.
        first: the one that it is meant for, which has it when it is free.

    Raises:
        ThunderError: no host can be used, with the reason of the last.
    """
    with _change:
        while True:
            back: list[str] = []
            fit = [name for name in names if name not in besides and not _reason(name)]
            if not fit:
                back = [name for name in names if name not in besides and may_return(name)]
                fit = [name for name in back if time.monotonic() - _unfit[name][0] > _RETRY_SECONDS]
            if not fit and not back:
                raise _none_left(names, besides)
            free = [name for name in fit if _taken.get(name, 0) < each and not _is_full(name)]
            if free:
                name = min(free, key=lambda one: (one != first, _taken.get(one, 0)))
                _taken[name] = _taken.get(name, 0) + 1
                return name
            if stopping.is_set():
                raise Stopped
            _change.wait(_LOOK_SECONDS)


def hold(name: str) -> None:
    """Count a run that is on a host already, whether there is room or not."""
    with _change:
        _taken[name] = _taken.get(name, 0) + 1


def give_back(name: str) -> None:
    """Give back the room that a run had."""
    with _change:
        _taken[name] -= 1
        _change.notify_all()


def refuse(name: str, error: ThunderError) -> bool:
    """Leave a host out for a while; say whether this is news."""
    with _change:
        is_news = _reason(name) is None and name not in _lost
        if isinstance(error, Lost) and not error.is_settled:
            _lost.setdefault(name, time.monotonic())
        else:
            _lost.pop(name, None)
        _unfit[name] = (time.monotonic(), error)
        return is_news


def full(name: str) -> bool:
    """Leave a host out for a moment whose slots others have; say whether this is news."""
    with _change:
        is_news = name not in _full
        _full[name] = time.monotonic()
        return is_news


def answered(name: str) -> None:
    """Take note that a host can be used."""
    with _change:
        for known in (_unfit, _lost, _full):
            known.pop(name, None)


def may_return(name: str) -> bool:
    """Say whether a host was lost so lately that it may just be starting anew."""
    return name in _lost and time.monotonic() - _lost[name] < RETURN_SECONDS


def _is_full(name: str) -> bool:
    return name in _full and time.monotonic() - _full[name] < _FULL_SECONDS


def _reason(name: str) -> ThunderError | None:
    refused_at, error = _unfit.get(name, (0.0, None))
    return error if error and time.monotonic() - refused_at < _AGAIN_SECONDS else None


def _none_left(names: Sequence[str], besides: Mapping[str, ThunderError]) -> ThunderError:
    errors = [error for name in names if (error := besides.get(name) or _reason(name))]
    if len(errors) == 1:
        return errors[0]
    listed = "\n".join(f"  {error}" for error in errors)
    return ThunderError(f"no host can take this run:\n{listed}", errors[-1].cause)
