"""What is looked at before features are made: are the letters those that the script has?"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from thunder.ground import digest
from thunder.lanes.asr import scripts
from thunder.lanes.asr.data import letters, pairs, split, targets, vocabulary

_LOOKED_AT = ("data", "split", "text", "script", scripts.SECTION)


def inspect(configs: Iterable[Mapping[str, Any]]) -> None:
    """Refuse configs whose texts have more strange characters than they allow.

    What `material.gather` would say of the same rows, some hours of features later. The speech of
    a recipe, which is built in place, is not looked at.
    """
    seen = set()
    for config in configs:
        key = digest.of_value({name: config.get(name) for name in _LOOKED_AT})
        if "recipe" not in config["data"]["source"] and key not in seen:
            seen.add(key)
            _inspect(config)


def _inspect(config: Mapping[str, Any]) -> None:
    folder = Path(config["runtime"]["paths"]["data"])
    rows = pairs.load(folder, config["data"], config["split"]["by"])
    train = split.make(rows, config["split"], folder)["ids"]["train"]
    texts = targets.references(rows, config["script"], config["text"]["bridge"])
    normal = targets.normal(texts, letters.form(config))
    words = vocabulary.of(config, targets.of_ids(normal, rows, train))
    targets.make(texts, normal, words, config["text"]["most_foreign"])
