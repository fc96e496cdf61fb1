"""Tiny models of the types that mlx-lm knows, written as folders of drawn weights."""

from pathlib import Path
from typing import Any

import numpy as np

from thunder.ground import files
from thunder.lanes.adapter.model import standin

SIZES = {
    "vocab_size": 384,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 512,
    "rope_theta": 10000.0,
}


def write_gemma4(folder: Path, texts: list[str], **recipe: Any) -> Path:
    """Write a stand-in of four layers, two of which share keys and values with lower ones."""
    source = {
        "recipe": "tiny_gemma4", "hidden": 32, "layers": 4, "vocabulary": 384, "seed": 0,
        "pretrain_steps": 0, "bits": 0, "learning_rate_factor": 1000.0,
    }  # fmt: skip
    standin.build(source | recipe, texts, folder)
    return folder


def write(folder: Path, model_type: str, dtype: str = "float32", **settings: Any) -> Path:
    """Write a model of three layers with random weights."""
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.utils import _get_classes

    config = SIZES | {"model_type": model_type} | settings
    model_class, arguments = _get_classes(config)
    model = model_class(arguments.from_dict(config))
    chance = np.random.default_rng(0)
    weights = {}
    for name, array in sorted(tree_flatten(model.parameters())):
        # Vectors are scales, most of them of norms: about 1, or nothing would come through.
        drawn = chance.normal(float(array.ndim == 1), 0.1, array.shape).astype(np.float32)
        weights[name] = mx.array(drawn).astype(getattr(mx, dtype))
    folder.mkdir(parents=True)
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    files.write_json(folder / "config.json", config)
    return folder
