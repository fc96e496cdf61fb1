"""What the adapter lane saves of a training, and what of it goes to the top of the run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thunder.ground import files
from thunder.ground.errors import Faults
from thunder.training import checkpoints, metrics
from thunder.training.checkpoints import Checkpoint, Layout

RECORD = "checkpoint.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTERS = "adapters.safetensors"
TENSORS = (ADAPTERS, "optimizer.safetensors", "rng.safetensors")
LAYOUT = Layout(record=RECORD, schema="checkpoint", hashed=(*TENSORS, ADAPTER_CONFIG))
EXPORTED = (ADAPTERS, ADAPTER_CONFIG, RECORD)


def save(
    run: Path,
    tensors: Mapping[str, Mapping[str, Any]],
    adapter_config: Mapping[str, Any],
    record: Mapping[str, Any],
) -> Path:
    """Save a checkpoint and return its folder.

    Args:
        tensors: the arrays of `adapters`, `optimizer` and `rng`.
        record: `checkpoint.json` without the digests.
    """
    # The supervisor reads checkpoints as well, and never loads mlx.
    import mlx.core as mx

    def write(work: Path) -> None:
        for name in TENSORS:
            # The order of the names is part of a file's bytes.
            arrays = dict(sorted(tensors[name.removesuffix(".safetensors")].items()))
            mx.save_safetensors(str(work / name), arrays)
        files.write_json(work / ADAPTER_CONFIG, adapter_config)

    metrics.sync(run)
    return checkpoints.save(run, LAYOUT, record, write)


def clean(run: Path, resumed: int) -> None:
    """Bring checkpoints and metrics back to the step that a run goes on from."""
    checkpoints.clean(run, resumed)
    metrics.cut(run, resumed)


def export(run: Path, folder: Path) -> None:
    """Copy a checkpoint's adapter to the top of the run, where mlx_lm.load finds it."""
    for name in EXPORTED:
        files.write_bytes(run / name, (folder / name).read_bytes())


def refuse_other_inputs(checkpoint: Checkpoint, inputs: Mapping[str, str]) -> None:
    """Raise if the run's inputs are not those that the checkpoint was trained with."""
    old = checkpoint.record["inputs"]
    changed = [
        f"{name} was {old.get(name)}, now {inputs.get(name)}"
        for name in sorted({*old, *inputs})
        if old.get(name) != inputs.get(name)
    ]
    if changed:
        title = f"{checkpoint.folder}: the inputs changed; restore them, or start a new run"
        raise Faults(title, changed, "data")
