"""What a process computes with: its device, its precision, its threads; chosen once, then kept."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from thunder.ground.errors import ThunderError, first_line

# Below this width an operation is over before threads have met: measured on two cores that others
# used too, two threads made an epoch of width 96 twenty times longer.
NARROW = 256
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Machine:
    """The part of the machine that one process uses."""

    device: torch.device
    precision: str  # one of PRECISIONS
    threads: int

    def __post_init__(self) -> None:
        """Refuse another word, which autocast would take for bfloat16."""
        if self.precision not in PRECISIONS:
            allowed = " or ".join(PRECISIONS)
            raise ThunderError(f"precision is {self.precision!r}; {allowed}", "crash")

    @property
    def name(self) -> str:
        """Return what a person calls the device."""
        is_gpu = self.device.type == "cuda"
        return str(torch.cuda.get_device_name(self.device)) if is_gpu else "cpu"

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which a model runs in this precision."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def choose(config: Mapping[str, Any], place: int = 0, threads: int | None = None) -> Machine:
    """Return the machine of a process.

    Args:
        place: the number of the process on this host: which GPU it takes.
        threads: of an earlier attempt at the run; by default this host's cores, shared fairly.

    Raises:
        ThunderError: there are GPUs, but fewer than ranks.
    """
    ranks, jobs = config["train"]["ranks"], config["runtime"]["jobs"]
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus and gpus < ranks:
        raise ThunderError(
            f"train.ranks is {ranks}, and this host has {gpus} GPUs: one for each rank is needed",
            "environment",
        )
    device = torch.device("cuda", place) if gpus else torch.device("cpu")
    is_half = gpus > 0 and config["train"]["precision"] == "auto"
    is_narrow = config["model"]["size"]["width"] < NARROW
    fair = 1 if is_narrow else max(1, cores() // (max(1, jobs) * ranks))
    return Machine(device, "bfloat16" if is_half else "float32", threads or fair)


def prepare(machine: Machine) -> None:
    """Set up this process for a machine; on a CPU the same work then gives the same bits."""
    torch.set_num_threads(machine.threads)
    on_cpu = machine.device.type == "cpu"
    # CUDA's CTC has no deterministic gradient: bit-equal resumption is promised on CPU alone.
    torch.use_deterministic_algorithms(on_cpu)
    torch.utils.deterministic.fill_uninitialized_memory = False  # it costs, and nothing reads it
    if not on_cpu:
        torch.cuda.set_device(machine.device)


def described(machine: Machine) -> dict[str, Any]:
    """Return what the record of an attempt says of the machine."""
    return {
        "device": machine.name,
        "precision": machine.precision,
        "threads": machine.threads,
        "torch": torch.__version__,
    }


@contextmanager
def memory() -> Iterator[None]:
    """Say what to do where the device has not enough memory."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ThunderError(
            f"out of memory: {first_line(error)}; lower train.batch_size, or use more train.ranks",
            "environment",
        ) from error


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
