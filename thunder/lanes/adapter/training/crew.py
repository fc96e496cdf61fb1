"""The ranks of a run, each at its place, with what lies there for it to read."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.context import Context
from thunder.training import placement
from thunder.training.events import Emit
from thunder.training.mirror import Mirror
from thunder.training.placement import Slot


@dataclass(frozen=True)
class Crew:
    """The ranks of a run.

    Args:
        slots: the place of each rank.
        lies: by host, what of a request is another there.
        mirror: of the run folder, if rank 0 is on another host.
    """

    slots: Sequence[Slot]
    lies: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    mirror: Mirror | None = None

    @property
    def first(self) -> "Crew":
        """Return rank 0 alone."""
        return Crew(self.slots[:1], self.lies, self.mirror)

    def orders(self, order: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what each rank is told, of what all are told."""
        return [
            {**order, "world": len(self.slots), "rank": rank, **self.lies.get(slot.host, {})}
            for rank, slot in enumerate(self.slots)
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
        return {self.slots[0].host: self.mirror.digests(step)}

    def telling(self, emit: Emit) -> Emit:
        """Return an emit for the events of the ranks: what they tell of is here by then."""
        return self.mirror.homing(emit) if self.mirror else emit


def here(world: int) -> Crew:
    """Return so many ranks on this machine."""
    return Crew([Slot()] * world)


def of(slots: Sequence[Slot]) -> Crew:
    """Return ranks that read nothing but what can be built at their places."""
    far = [slot for slot in placement.by_host(slots) if slot.way]
    return Crew(slots, {slot.host: {"cache": placement.cache(slot)} for slot in far})


@contextmanager
def supplied(context: Context, slots: Sequence[Slot], mirror: Mirror | None) -> Iterator[Crew]:
    """Yield ranks that have at their places what they read; what is of this run alone goes again.

    The context is told what lies where.
    """
    tokens: list[tuple[Slot, str]] = []
    lies: dict[str, dict[str, str]] = {}
    data: dict[str, str] = {}
    try:
        for slot in placement.by_host(slots):
            model = placement.input_of(slot, context.config, "model", context.inputs.model)
            place = placement.bring(slot, context.tokens, f"tokens-{context.folder.name}")
            tokens.append((slot, place))
            lies[slot.host] = {"model_folder": model, "tokens": place}
            data[slot.host] = placement.input_of(slot, context.config, "data", context.inputs.data)
            if slot.way:
                lies[slot.host]["cache"] = placement.cache(slot)
        if mirror:
            lies[slots[0].host] |= {"folder": mirror.there, "lock": mirror.lock}
        context.hosts.extend(_rows(context, slots, lies, data))
        yield Crew(slots, lies, mirror)
    finally:
        for slot, place in tokens:
            placement.remove(slot, place)


def _rows(
    context: Context,
    slots: Sequence[Slot],
    lies: Mapping[str, Mapping[str, str]],
    data: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    """Return what the report says of this machine and of each host, the digests left out."""
    yield {
        "host": context.host,
        "ranks": [rank for rank, slot in enumerate(slots) if slot.way is None],
        "data_set": str(context.inputs.data.absolute()),
        "model": str(context.inputs.model.absolute()),
        "run_folder": str(context.folder.absolute()),
    }
    for slot in placement.by_host([slot for slot in slots if slot.way]):
        yield {
            "host": slot.host,
            "ranks": [rank for rank, other in enumerate(slots) if other.host == slot.host],
            "data_set": data[slot.host],
            "model": lies[slot.host]["model_folder"],
            "run_folder": lies[slot.host].get("folder"),
        }
