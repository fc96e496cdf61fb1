"""What a run saves: last.pt, from which it goes on, and best.pt, which is the model.

last.pt is the one thing that decides how far a run is. Whatever else an epoch leaves behind
(best.pt, metrics.jsonl) is written after it and can be made from it.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from thunder.ground import files
from thunder.ground.errors import ThunderError, first_line
from thunder.lanes.asr import artifacts
from thunder.lanes.asr.model import ctc
from thunder.lanes.asr.training.stopping import Standing
from thunder.training import metrics

if TYPE_CHECKING:
    from thunder.lanes.asr.material import Material

FORMAT = 1

About = dict[str, Any]


@dataclass(frozen=True)
class Saved:
    """A run at the end of an epoch.

    Args:
        epoch: epochs done, which is also the number of the last one.
        history: the rows of metrics.jsonl.
        threads: of the processes that made it; equal bits need as many.
        precisions: what its epochs were computed in, in order, each named once.
        stopped: why training is over; None while it is not.
    """

    epoch: int
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    standing: Standing
    history: list[dict[str, Any]]
    threads: int
    precisions: tuple[str, ...]
    stopped: str | None


def about(material: "Material") -> About:
    """Return what weights belong to: the model they fill and the data they were fitted to."""
    config, store = material.config, material.store
    keys = ("script", "mode", "model", "trajectory", "tar", "ttt", "seed")
    return {
        "format": FORMAT,
        "config": {key: config[key] for key in keys},
        "dims": store.dims,
        "classes": len(material.vocabulary.tokens),
        "feature_layout": store.layout,
        "vocab_sha256": material.vocabulary.digest,
        **{key: material.digests[name] for name, key in artifacts.DIGESTS.items()},
    }


def save(folder: Path, saved: Saved, about: About) -> None:
    """Write a run's state at the end of an epoch, then all that follows from it."""
    document = {
        "about": about,
        "epoch": saved.epoch,
        "model": saved.model,
        "optimizer": saved.optimizer,
        "standing": _packed(saved.standing),
        "history": saved.history,
        "threads": saved.threads,
        "precisions": list(saved.precisions),
        "stopped": saved.stopped,
    }
    _write(folder / artifacts.LAST, document)
    settle(folder, saved, about)


def settle(folder: Path, saved: Saved, about: About) -> None:
    """Bring best.pt and metrics.jsonl to what last.pt says, whatever a crash left of them."""
    standing = saved.standing
    if standing.best_epoch == saved.epoch:
        best = {"epoch": saved.epoch, "valid_loss": standing.best_loss, "model": saved.model}
        _write(folder / artifacts.BEST, {"about": about, **best})
    metrics.write(folder, saved.history)


def load(folder: Path, about: About) -> Saved | None:
    """Return the state that a run goes on from, or None at its first start.

    Raises:
        ThunderError: it belongs to another model or other data, or cannot be read.
    """
    path = folder / artifacts.LAST
    if not path.exists():
        return None
    document = _read(path, ("about", "model", "optimizer", "standing", "history"))
    _check_about(path, document["about"], about)
    return Saved(
        epoch=document["epoch"],
        model=document["model"],
        optimizer=document["optimizer"],
        standing=_unpacked(document["standing"]),
        history=document["history"],
        threads=document["threads"],
        precisions=tuple(document["precisions"]),
        stopped=document["stopped"],
    )


def load_best(folder: Path, material: "Material", epoch: int) -> nn.Module:
    """Return the model of best.pt, on the CPU, ready to evaluate.

    Args:
        epoch: the epoch that it must be of.

    Raises:
        ThunderError: it is of another epoch, layout, vocabulary or snapshot, or cannot be read.
    """
    path, expected = folder / artifacts.BEST, about(material)
    document = _read(path, ("about", "epoch", "model"))
    _check_about(path, document["about"], expected)
    if document["epoch"] != epoch:
        raise ThunderError(
            f"{path} is of epoch {document['epoch']}, the best epoch is {epoch}: it was replaced; "
            "run again with force=true",
            "verification",
        )
    model = ctc.build(material.config, expected["dims"], expected["classes"])
    model.load_state_dict(document["model"])
    return model.eval()


def _packed(standing: Standing) -> dict[str, Any]:
    losses = torch.from_numpy(standing.firm_losses)
    return {**vars(standing), "firm_losses": losses}


def _unpacked(standing: Mapping[str, Any]) -> Standing:
    return Standing(**{**standing, "firm_losses": standing["firm_losses"].numpy()})


def _write(path: Path, document: Mapping[str, Any]) -> None:
    try:
        with files.replacing(path) as stream:
            torch.save(document, stream)
    except RuntimeError as error:  # what torch makes of a full disk
        raise ThunderError(f"{path}: could not be written: {first_line(error)}", "write") from error


def _read(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        # Weights only: a file that was tampered with must not run code.
        document = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ThunderError(f"{path}: missing; run again with force=true", "verification") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, ValueError) as error:
        raise ThunderError(
            f"{path}: cannot be read: {first_line(error)}; run again with force=true",
            "verification",
        ) from error
    missing = [key for key in keys if not isinstance(document, dict) or key not in document]
    if missing:
        raise ThunderError(f"{path}: no file of this lane: {missing} missing", "verification")
    return dict(document)


def _check_about(path: Path, held: About, expected: About) -> None:
    """Refuse weights made for something else; a state dict fits wherever its shapes do."""
    other = sorted(key for key in {*held, *expected} if held.get(key) != expected.get(key))
    if other:
        parts = [f"{key}: {held.get(key)!r}, not {expected.get(key)!r}" for key in other]
        raise ThunderError(
            f"{path} was made for something else: {'; '.join(parts)}", "verification"
        )
