"""Files of runs that are read once while one answer is made of many of them.

So what was proven is what is told, and 5,000 runs are not opened thrice each.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")
_read: ContextVar[dict[Hashable, Any] | None] = ContextVar("read", default=None)


@contextmanager
def reading() -> Iterator[None]:
    """Remember what `remembered` functions return until the end; nobody may change it."""
    token = _read.set({})
    try:
        yield
    finally:
        _read.reset(token)


def remembered(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let a function that reads a file be called once per file within `reading`."""

    @wraps(function)
    def once(*args: _P.args, **words: _P.kwargs) -> _T:
        known = _read.get()
        if known is None:
            return function(*args, **words)
        key = (function, args, *words.items())
        if key not in known:
            known[key] = function(*args, **words)
        value: _T = known[key]
        return value

    return once
