"""Learns the tokenizer of a stand-in from its texts, with the marks and turns of Gemma 4."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>"]
PAD, EOS, BOS, UNKNOWN, TURN, TURN_END = range(len(SPECIAL))
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SPACE = "▁"
LEAST = len(SPECIAL) + len(BYTES) + len(SPACE)
CONTEXT_TOKENS = 8192

CHAT_TEMPLATE = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- if message['role'] not in ['system', 'user', 'assistant'] -%}
{{- raise_exception("role " ~ message['role'] ~ ": only system, user and assistant are known") -}}
{%- endif -%}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
{{- '<|turn>' ~ role ~ '\\n' ~ (message['content'] | trim) ~ '<turn|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|turn>model\\n' -}}
{%- endif -%}
"""


def learn(texts: Sequence[str], size: int) -> dict[str, Any]:
    """Return a tokenizer.json of exactly `size` tokens that can spell any text in bytes."""
    room = size - len(SPECIAL) - len(BYTES)
    learned, merges = _pairs(texts, room)
    unused = [f"<unused{number}>" for number in range(room - len(learned))]
    tokens = [*SPECIAL, *BYTES, *learned, *unused]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added_token(number, text) for number, text in enumerate(SPECIAL)],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"String": SPACE},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        "post_processor": _starts_with_bos(),
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {text: number for number, text in enumerate(tokens)},
            "merges": merges,
        },
    }


def _pairs(texts: Sequence[str], room: int) -> tuple[list[str], list[list[str]]]:
    """Learn up to `room` tokens, characters and pairs, from words that end with their space."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    # A space that was spelled in bytes would come back as its sign.
    alphabet = _frequent_characters(texts, room // 2) | {SPACE}
    # A rare character splits its word: the trainer would drop some of them at random.
    words = (
        "".join(c if c in alphabet else "\n" for c in text.replace(" ", SPACE)) for text in texts
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "removed"),
            pre_tokenizers.Split(SPACE, "merged_with_previous"),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=room, min_frequency=2, initial_alphabet=[SPACE], show_progress=False
    )
    tokenizer.train_from_iterator(words, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].__getitem__), model["merges"]


def _frequent_characters(texts: Sequence[str], most: int) -> frozenset[str]:
    counts = Counter("".join(texts).replace(" ", SPACE))
    # A learned "<" could spell the name of a special token; the others divide the words.
    for reserved in f"<\n{SPACE}":
        counts.pop(reserved, None)
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    return frozenset(ranked[:most])


def _added_token(number: int, text: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": text, "special": True, **flags}


def _starts_with_bos() -> dict[str, Any]:
    # As Gemma's own does: text of the template that is encoded again gets a second <bos>.
    bos = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    first = {"Sequence": {"id": "A", "type_id": 0}}
    second = {"Sequence": {"id": "B", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [bos, first],
        "pair": [bos, first, second],
        "special_tokens": {"<bos>": {"id": "<bos>", "ids": [BOS], "tokens": ["<bos>"]}},
    }


def settings() -> dict[str, Any]:
    """Return the tokenizer_config.json."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "model_max_length": CONTEXT_TOKENS,
        "clean_up_tokenization_spaces": False,
    }
