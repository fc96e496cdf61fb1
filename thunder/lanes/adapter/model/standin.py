"""Builds a tiny Gemma 4 from a recipe and texts: a stand-in that trains in seconds."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.ground import digest, files, input_files
from thunder.ground.errors import ThunderError, first_line
from thunder.lanes.adapter.model import model_folder, standin_tokenizer

REVISION = 1  # raised when the same recipe builds other bytes
RECIPE = "tiny_gemma4"
SHAPING = ("recipe", "hidden", "layers", "vocabulary", "seed", "pretrain_steps", "bits")
GROUP_SIZE = 32
PRETRAIN_ROWS, PRETRAIN_TOKENS, PRETRAIN_RATE = 16, 64, 3e-3
WEIGHTS = "model.safetensors"


def builder_digest(_: Mapping[str, Any]) -> str:
    """Return the digest of what shapes a stand-in besides its recipe and its corpus."""
    return digest.of_value({"revision": REVISION, "special": standin_tokenizer.CHAT_TEMPLATE})


def digest_of(source: dict[str, Any], corpus_digest: str) -> str:
    """Return the identity of what a recipe would build from a corpus."""
    recipe = {key: source[key] for key in SHAPING}
    return digest.of_value({"builder": builder_digest(source), "corpus": corpus_digest, **recipe})


def build(source: dict[str, Any], texts: Sequence[str], target: Path) -> str:
    """Build the stand-in in a folder that `mlx_lm.load` reads, and return its digest.

    A caller who wants a fast BLAS loads it first, as this imports mlx.

    Args:
        texts: what the tokenizer is trained on, and the model if the recipe asks for steps.
    """
    _check(source, texts)
    tokenizer = standin_tokenizer.learn(texts, source["vocabulary"])
    config = _config(source)
    with files.fresh_folder(target) as folder:
        files.write_json(folder / "tokenizer.json", tokenizer)
        files.write_json(folder / "tokenizer_config.json", standin_tokenizer.settings())
        files.write_text(folder / "chat_template.jinja", standin_tokenizer.CHAT_TEMPLATE)
        files.write_json(folder / input_files.CONFIG, config)
        _write_weights(folder, _model(source, config, tokenizer, texts))
    return model_folder.digest(target)


def _check(source: dict[str, Any], texts: Sequence[str]) -> None:
    if source["recipe"] != RECIPE:
        raise ThunderError(
            f"model.source.recipe is {source['recipe']!r}; the only one is {RECIPE!r}"
        )
    if source["vocabulary"] < standin_tokenizer.LEAST:
        raise ThunderError(
            f"model.source.vocabulary is {source['vocabulary']!r}; "
            f"bytes, space and special tokens alone take {standin_tokenizer.LEAST}"
        )
    if source["hidden"] < GROUP_SIZE or source["hidden"] % GROUP_SIZE:
        raise ThunderError(
            f"model.source.hidden is {source['hidden']!r}; it must be a multiple of {GROUP_SIZE}"
        )
    if not any(text.strip() for text in texts):
        raise ThunderError("no text to train the tokenizer of a stand-in on", cause="data")


def _config(source: dict[str, Any]) -> dict[str, Any]:
    config = {
        "thunder_stand_in": True,
        "_name_or_path": f"{RECIPE}: a stand-in of thunder, not a Gemma",
        "architectures": ["Gemma4ForConditionalGeneration"],
        "model_type": "gemma4",
        "dtype": "float32",
        "vocab_size": source["vocabulary"],
        "pad_token_id": standin_tokenizer.PAD,
        "bos_token_id": standin_tokenizer.BOS,
        "eos_token_id": [standin_tokenizer.EOS, standin_tokenizer.TURN_END],
        "tie_word_embeddings": True,
        "text_config": _text_config(source),
    }
    if source["bits"]:
        scheme = {"group_size": GROUP_SIZE, "bits": source["bits"], "mode": "affine"}
        config |= {"quantization": scheme, "quantization_config": scheme}
    return config


def _text_config(source: dict[str, Any]) -> dict[str, Any]:
    hidden, layers, vocabulary = source["hidden"], source["layers"], source["vocabulary"]
    return {
        "model_type": "gemma4_text",
        "vocab_size": vocabulary,
        "vocab_size_per_layer_input": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "hidden_size_per_layer_input": max(16, hidden // 4),
        "num_hidden_layers": layers,
        # A layer that shares keys needs one of its own type below it.
        "num_kv_shared_layers": layers // 2 if layers > 2 else 0,
        "layer_types": (["sliding_attention", "full_attention"] * layers)[:layers],
        "sliding_window": 64,
        "sliding_window_pattern": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": hidden // 4,
        "global_head_dim": hidden // 2,
        "use_double_wide_mlp": True,
        "final_logit_softcapping": 30.0,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": standin_tokenizer.CONTEXT_TOKENS,
        "pad_token_id": standin_tokenizer.PAD,
        "tie_word_embeddings": True,
    }


def _model(
    source: dict[str, Any], config: dict[str, Any], tokenizer: dict[str, Any], texts: Sequence[str]
) -> Any:
    import mlx.nn as nn
    from mlx_lm.models import gemma4

    # A copy, as the class writes into what it is given.
    model = gemma4.Model(gemma4.ModelArgs.from_dict(json.loads(json.dumps(config))))
    _draw_weights(model, source["seed"])
    if source["pretrain_steps"]:
        _pretrain(model, _rows(tokenizer, texts), source["pretrain_steps"], source["seed"])
    if source["bits"]:
        nn.quantize(model, GROUP_SIZE, source["bits"], class_predicate=_fits_groups)
    return model


def _fits_groups(_: str, module: Any) -> bool:
    return hasattr(module, "to_quantized") and module.weight.shape[-1] % GROUP_SIZE == 0


def _draw_weights(model: Any, seed: int) -> None:
    """Draw the matrices with numpy, for the same bits on every machine; vectors keep their ones."""
    import mlx.core as mx
    import numpy as np
    from mlx.utils import tree_flatten

    generator = np.random.default_rng(seed)
    for name, weight in sorted(tree_flatten(model.parameters())):
        if weight.ndim == 2:
            # The variance that mlx gives: 1 / width to an embedding, a third of it to a projection.
            reach = (3.0 if "embed_tokens" in name else 1.0) ** 0.5 / weight.shape[1] ** 0.5
            values = generator.uniform(-reach, reach, weight.shape).astype(np.float32)
            model.load_weights([(name, mx.array(values))], strict=False)


def _rows(tokenizer: dict[str, Any], texts: Sequence[str]) -> Any:
    """Return the texts as one stream of tokens, cut into rows."""
    import numpy as np
    from tokenizers import Tokenizer

    encoder, end = Tokenizer.from_str(json.dumps(tokenizer)), standin_tokenizer.EOS
    stream = [token for text in texts for token in (*encoder.encode(text).ids, end)]
    rows = max(1, len(stream) // PRETRAIN_TOKENS)
    return np.resize(np.array(stream, dtype=np.int32), (rows, PRETRAIN_TOKENS))


def _pretrain(model: Any, rows: Any, steps: int, seed: int) -> None:
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optimizers
    import numpy as np

    def loss(model: Any, batch: Any) -> Any:
        return nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:], reduction="mean")

    generator = np.random.default_rng([seed, steps])
    optimizer = optimizers.Adam(PRETRAIN_RATE)
    gradient = nn.value_and_grad(model, loss)
    for _ in range(steps):
        batch = mx.array(rows[generator.integers(0, len(rows), PRETRAIN_ROWS)])
        _, gradients = gradient(model, batch)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)


def _write_weights(folder: Path, model: Any) -> None:
    import mlx.core as mx
    from mlx.utils import tree_flatten

    # Sorted, as the bytes of the file follow the order of the names.
    weights = dict(sorted(tree_flatten(model.parameters())))
    path = folder / WEIGHTS
    try:
        mx.save_safetensors(str(path), weights, metadata={"format": "mlx"})
    except RuntimeError as error:  # what mlx makes of a full disk
        reason = first_line(error)
        raise ThunderError(f"{path}: could not be written: {reason}", "write") from error
    index = {
        "metadata": {"total_size": sum(weight.nbytes for weight in weights.values())},
        "weight_map": dict.fromkeys(weights, WEIGHTS),
    }
    files.write_json(folder / f"{WEIGHTS}.index.json", index)
