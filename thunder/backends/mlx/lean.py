"""Imports mlx-lm's models without its tokenizers, half a second faster: ranks are given tokens."""

import importlib
import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType

PACKAGES = ("mlx_lm", "mlx_lm.tuner")
TOKENIZERS = "mlx_lm.tokenizer_utils"
NEEDED = ("mlx_lm.utils", "mlx_lm.tuner.utils")


def import_mlx_lm() -> bool:
    """Import what a rank needs of mlx-lm, lean if its layout allows it; return whether it does.

    Only for a process of our own: mlx-lm is left without its tokenizers.
    """
    try:
        for name in PACKAGES:
            _enter(name)
        tokenizers = ModuleType(TOKENIZERS)
        vars(tokenizers).update(TokenizerWrapper=object, load=None)
        sys.modules[TOKENIZERS] = tokenizers
        for name in NEEDED:
            importlib.import_module(name)
    except (ImportError, AttributeError):
        # Another version of mlx-lm may be laid out differently; then all of it is imported.
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGES[0]]:
            del sys.modules[name]
        return False
    return True


def _enter(name: str) -> None:
    """Make a package's modules importable without running its own code, which imports them all."""
    spec = find_spec(name)
    if spec is None:
        raise ImportError(name)
    sys.modules[name] = module_from_spec(spec)
