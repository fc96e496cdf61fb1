"""Keeps out of a process what MLX does not need: torch, and what mlx-lm has beside its models."""

import importlib
import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType

PACKAGES = ("mlx_lm", "mlx_lm.tuner")
NEEDED = ("mlx_lm.utils", "mlx_lm.tuner.utils")
# What those import of others, and a rank never calls: it is given tokens, and a model's folder.
UNUSED: dict[str, dict[str, object]] = {
    "mlx_lm.tokenizer_utils": {"TokenizerWrapper": object, "load": None},
    "huggingface_hub": {"snapshot_download": None},
}


def without_torch() -> None:
    """Let torch be a package that is not there, before a library looks for it.

    Only for a process of our own. transformers imports all of torch where there is one, which takes
    longer than a small window of training, and uses none of it where MLX computes.
    """
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]  # find_spec: there is none


def import_mlx_lm() -> bool:
    """Import what models need of mlx-lm, lean if its layout allows it; return whether it does.

    Only for a rank's process: its mlx-lm has neither tokenizers nor the hub, whose import takes
    most of a second.
    """
    before = {*sys.modules}
    try:
        for name in PACKAGES:
            _enter(name)
        for name, values in UNUSED.items():
            sys.modules[name] = ModuleType(name)
            vars(sys.modules[name]).update(values)
        for name in NEEDED:
            importlib.import_module(name)
    except (ImportError, AttributeError):
        # Another version of mlx-lm may be laid out differently; then all of it is imported.
        ours = (PACKAGES[0], *UNUSED)
        for name in [name for name in {*sys.modules} - before if name.startswith(ours)]:
            del sys.modules[name]
        return False
    return True


def _enter(name: str) -> None:
    """Make a package's modules importable without running its own code, which imports them all."""
    spec = find_spec(name)
    if spec is None:
        raise ImportError(name)
    sys.modules[name] = module_from_spec(spec)
