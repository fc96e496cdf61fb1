"""Runs that read other bytes where they were meant to read the same: one comparison of inputs."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
# What must be alike: inputs with one key were meant to be the same; None: not compared.
KeyOf = Callable[[T, str], Hashable | None]


@dataclass(frozen=True)
class Mixed(Generic[T]):
    """Two runs that differ in an input."""

    name: str  # of the input
    first: T
    other: T
    digests: tuple[str, str]

    @property
    def short(self) -> str:
        """The beginnings of both digests, for a message."""
        return " and ".join(f"{sha256[:12]}…" for sha256 in self.digests)


def inputs(
    runs: Iterable[tuple[T, Mapping[str, str]]], key_of: KeyOf[T] = lambda _, name: name
) -> Iterator[Mixed[T]]:
    """Yield every run that read other bytes than the first that was meant to read the same.

    Args:
        runs: each with the digests of its inputs, by name.
        key_of: what a run meant by an input; by default its name.
    """
    seen: dict[Hashable, tuple[str, T]] = {}
    for run, digests in runs:
        for name, sha256 in digests.items():
            if (key := key_of(run, name)) is None:
                continue
            before, first = seen.setdefault(key, (sha256, run))
            if before != sha256:
                yield Mixed(name, first, run, (before, sha256))
