"""The ranks of a run, each at its place, with what lies there for it to read."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from thunder.ground import folders
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.context import Context
from thunder.training import placement
from thunder.training.events import Emit
from thunder.training.mirror import Mirror
from thunder.training.placement import Seat


@dataclass(frozen=True)
class Crew:
    """The ranks of a run.

    Args:
        seats: the place of each rank.
        lies: by host, what of a request is another there.
        mirror: of the run folder, if rank 0 is on another host.
    """

    seats: Sequence[Seat]
    lies: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    mirror: Mirror | None = None

    @property
    def first(self) -> "Crew":
        """Return rank 0 alone."""
        return Crew(self.seats[:1], self.lies, self.mirror)

    def orders(self, order: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what each rank is told, of what all are told."""
        return [
            {**order, "world": len(self.seats), "rank": rank, **self.lies.get(seat.host, {})}
            for rank, seat in enumerate(self.seats)
        ]

    def bring(self) -> None:
        """Have what is here of the run, which the next window goes on from, where rank 0 is."""
        if self.mirror:
            self.mirror.bring()

    def fetch(self, step: int) -> dict[str, dict[str, str]]:
        """Have what a window left here; returns the digests of its files elsewhere, by host."""
        if self.mirror is None:
            return {}
        if self.mirror.fetch(step) is None:
            raise ThunderError(f"{self.mirror.there}: no checkpoint of step {step}", "verification")
        return {self.seats[0].host: self.mirror.digests(step)}

    def telling(self, emit: Emit) -> Emit:
        """Return an emit for the events of the ranks: what they tell of is here by then."""
        return self.mirror.homing(emit) if self.mirror else emit


def here(world: int) -> Crew:
    """Return so many ranks on this machine."""
    return Crew([Seat()] * world)


def of(seats: Sequence[Seat]) -> Crew:
    """Return ranks that read nothing but what can be built at their places."""
    far = [seat for seat in placement.by_host(seats) if seat.way]
    return Crew(seats, {seat.host: {"cache": _cache(seat)} for seat in far})


@contextmanager
def supplied(context: Context, seats: Sequence[Seat], mirror: Mirror | None) -> Iterator[Crew]:
    """Yield ranks that have at their places what they read; what is of this run alone goes again.

    The context is told what lies where.
    """
    tokens: list[tuple[Seat, str]] = []
    lies: dict[str, dict[str, str]] = {}
    data: dict[str, str] = {}
    try:
        for seat in placement.by_host(seats):
            model = placement.input_of(seat, context.config, "model", context.inputs.model)
            place = placement.bring(seat, context.tokens, f"tokens-{context.folder.name}")
            tokens.append((seat, place))
            lies[seat.host] = {"model_folder": model, "tokens": place}
            data[seat.host] = placement.input_of(seat, context.config, "data", context.inputs.data)
            if seat.way:
                lies[seat.host]["cache"] = _cache(seat)
        if mirror:
            lies[seats[0].host] |= {"folder": mirror.there, "lock": mirror.lock}
        context.hosts.extend(_rows(context, seats, lies, data))
        yield Crew(seats, lies, mirror)
    finally:
        for seat, place in tokens:
            placement.remove(seat, place)


def _rows(
    context: Context,
    seats: Sequence[Seat],
    lies: Mapping[str, Mapping[str, str]],
    data: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    """Return what the report says of this machine and of each host, the digests left out."""
    yield {
        "host": context.host,
        "ranks": [rank for rank, seat in enumerate(seats) if seat.way is None],
        "data_set": str(context.inputs.data.absolute()),
        "model": str(context.inputs.model.absolute()),
        "run_folder": str(context.folder.absolute()),
    }
    for seat in placement.by_host([seat for seat in seats if seat.way]):
        yield {
            "host": seat.host,
            "ranks": [rank for rank, other in enumerate(seats) if other.host == seat.host],
            "data_set": data[seat.host],
            "model": lies[seat.host]["model_folder"],
            "run_folder": lies[seat.host].get("folder"),
        }


def _cache(seat: Seat) -> str:
    return f"{placement.workspace(seat)}/{folders.CACHE}"
