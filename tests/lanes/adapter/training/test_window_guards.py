# ruff: noqa: F811  (an imported fixture and the argument it fills)
"""What a window refuses or tells: replicas that differ, keys that are shared, other bits."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from adapter_fixtures import Tiny, tiny  # noqa: F401

from thunder.backends.mlx import ring
from thunder.ground import files
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.training import ranks, snapshot, window
from thunder.training import checkpoints

pytestmark = pytest.mark.slow


def replica(value: float, second_moment: float = 0.0) -> Any:
    """Return a window of a ring of two that holds one adapter."""
    import mlx.core as mx

    moments = {"m": mx.zeros(3), "v": mx.full(3, second_moment)}
    optimizer = SimpleNamespace(state={"adapters": moments})
    window_ = window.Window.__new__(window.Window)
    window_.trainer = SimpleNamespace(vector=mx.full(3, value), optimizer=optimizer, step=7)  # type: ignore[assignment]
    window_.world, window_.rank, window_.group = 2, 0, None
    return window_


def beside(monkeypatch: pytest.MonkeyPatch, other: Any) -> None:
    """Let the next gather find what another replica sends as well."""
    sent: list[Any] = []
    monkeypatch.setattr(ring, "gather", lambda mine, group: sent.append(mine) or np.array([mine]))
    other.world = 1
    other._refuse_strays()
    monkeypatch.setattr(ring, "gather", lambda mine, group: np.array([mine, sent[0]]))


def test_equal_replicas_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    beside(monkeypatch, replica(1.0))
    replica(1.0)._refuse_strays()


@pytest.mark.parametrize("other", [(1.0000001, 0.0), (1.0, 1e-30)])
def test_replicas_that_differ_by_one_bit_are_refused(
    monkeypatch: pytest.MonkeyPatch, other: tuple[float, float]
) -> None:
    beside(monkeypatch, replica(*other))
    with pytest.raises(ThunderError, match=r"step 7: ranks \[1\] hold other adapters") as caught:
        replica(1.0)._refuse_strays()
    assert caught.value.cause == "training"


def test_every_rank_draws_its_own_dropout() -> None:
    import mlx.core as mx

    trainer: Any = SimpleNamespace(vector=mx.zeros(3))
    keys = {
        (seed, tuple(pair))
        for seed in (0, 1)
        for pair in snapshot.fresh(trainer, seed, range(4))[-8:].reshape(4, 2).tolist()
    }
    assert len({pair for _, pair in keys}) == 8
    assert (snapshot.fresh(trainer, 0, range(4)) == snapshot.fresh(trainer, 0, range(4))).all()


@pytest.mark.parametrize("is_edited", [False, True])
def test_a_run_that_goes_on_with_other_bits_says_so(
    tiny: Tiny, tmp_path: Path, is_edited: bool
) -> None:
    notes: list[str] = []

    def emit(event: dict[str, Any]) -> None:
        notes.extend([event["text"]] if event["event"] == "note" else [])

    ranks.train_window(tiny.request(tmp_path, 2), emit)
    path = checkpoints.folder_of(tmp_path, 2) / "checkpoint.json"
    record = files.read_json(path)
    if is_edited:
        record["fingerprint"]["mlx"] = "0.0.1"
        files.write_json(path, record)
    ranks.train_window(tiny.request(tmp_path, 4), emit)
    told = [note for note in notes if note.startswith("resumed, but not to the bit: ")]
    assert len(told) == is_edited
    assert all("mlx was '0.0.1', now " in note for note in told)
