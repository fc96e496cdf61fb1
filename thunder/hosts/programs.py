"""Programs that are run on a host to hear what they say there, within a deadline."""

import json
from collections.abc import Sequence
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.hosts.connection import Connection, Lost

_GRACE_SECONDS = 5.0  # for the host, which ends what is too slow, to say so


class Failed(ThunderError):
    """A program on a host did not begin, ended badly or in no time, or gave no answer.

    Args:
        reason: what it said last, or why it could not be asked.
    """

    def __init__(self, way: Connection, words: Sequence[str], reason: str) -> None:
        super().__init__(f"host {way.host.name}: {_shown(words)}: {reason}", "environment")
        self.reason = reason


def output(way: Connection, words: Sequence[str], within: float, said: str = "") -> str:
    """Return what a program there prints.

    Args:
        within: seconds after which it is ended.
        said: what it reads.

    Raises:
        Lost: the way there is gone.
        Failed: it did not end well.
    """
    done = _run(way, words, within, said)
    if done["code"]:
        nothing = f"it ended with {done['code']} and said nothing"
        raise Failed(way, words, _last(done["err"], nothing))
    return str(done["out"])


def answer(way: Connection, words: Sequence[str], within: float, said: str = "") -> Any:
    """Return the JSON that a program there prints; as `output`."""
    printed = output(way, words, within, said)
    try:
        return json.loads(printed)
    except ValueError:
        reason = f"its answer is not JSON: {_last(printed, 'it said nothing')}"
        raise Failed(way, words, reason) from None


def _run(way: Connection, words: Sequence[str], within: float, said: str) -> Any:
    try:
        return way.call(
            "run", words=list(words), seconds=within, within=within + _GRACE_SECONDS, said=said
        )
    except Lost:
        raise
    except ThunderError as error:  # it is not there, or does not end
        raise Failed(way, words, str(error).partition(": ")[2]) from error


def _last(said: str, nothing: str) -> str:
    return (said.strip().splitlines() or [nothing])[-1]


def _shown(words: Sequence[str]) -> str:
    """Return a command without what is set for it, and without a program's text."""
    rest = [*words]
    if rest[0] == "env":
        rest = [word for word in rest[1:] if "=" not in word.partition("/")[0]]
    if "-c" in rest:
        rest = rest[: rest.index("-c")]
    return " ".join(rest[:3])
