import json
from pathlib import Path

import pytest

from thunder.lanes.adapter.model import vocabulary


def write(folder: Path, rows: dict[str, int], **config: object) -> Path:
    """Write the header of a model whose tensors have so many rows, and its config."""
    folder.mkdir(exist_ok=True)
    entries = {name: {"shape": [count, 2], "data_offsets": [0, 0]} for name, count in rows.items()}
    data = json.dumps(entries).encode()
    (folder / "model.safetensors").write_bytes(len(data).to_bytes(8, "little") + data)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "model.embed_tokens.weight",
        "language_model.model.embed_tokens.weight",
        "transformer.wte.weight",
        "wte.weight",
        "gpt_neox.embed_in.weight",
        "backbone.embeddings.weight",
        "tok_embeddings.weight",
    ],
)
def test_the_table_of_tokens_says_how_many_there_are(tmp_path: Path, name: str) -> None:
    other = {"layers.0.weight": 7, "position_embeddings.weight": 8, "wpe.weight": 9}
    folder = write(tmp_path / "model", {name: 500, **other}, vocab_size=600)
    known = vocabulary.of(folder)
    assert known == vocabulary.Vocabulary(500, f"{name.removesuffix('.weight')} has 500 rows")


def test_every_table_that_is_asked_by_the_same_ids_must_have_them(tmp_path: Path) -> None:
    tables = {"embed_tokens.weight": 512, "embed_tokens_per_layer.weight": 500}
    known = vocabulary.of(write(tmp_path / "model", tables))
    assert known == vocabulary.Vocabulary(500, "embed_tokens_per_layer has 500 rows")
    tables = {"embed_tokens.weight": 512, "lm_head.weight": 400}
    known = vocabulary.of(write(tmp_path / "model", tables))
    assert known == vocabulary.Vocabulary(400, "lm_head has 400 rows")


def test_the_tables_of_images_and_sounds_are_not_of_tokens(tmp_path: Path) -> None:
    tables = {"embed_vision.embedding.weight": 128, "audio_tower.embed_tokens.weight": 9}
    known = vocabulary.of(write(tmp_path / "model", {**tables, "embed_tokens.weight": 512}))
    assert known is not None
    assert known.size == 512


def test_the_config_says_it_where_no_table_is_known(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", {"strange.weight": 7}, text_config={"vocab_size": 300})
    known = vocabulary.of(folder)
    assert known == vocabulary.Vocabulary(300, "config.json says vocab_size 300")
    assert vocabulary.of(write(tmp_path / "model", {"strange.weight": 7})) is None


@pytest.mark.parametrize(
    "config",
    [
        "[]",
        '"x"',
        "null",
        '{"text_config": "x"}',
        '{"text_config": [1]}',
        '{"layers": "many"}',
        "[",
    ],
)
def test_a_config_of_another_shape_says_nothing(tmp_path: Path, config: str) -> None:
    folder = write(tmp_path / "model", {"strange.weight": 7})
    (folder / "config.json").write_text(config)
    assert vocabulary.setting(folder, "layers") is None
    assert vocabulary.of(folder) is None
    assert vocabulary.ends(folder) == set()


def test_a_setting_is_that_of_the_text_model_where_there_is_one(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", {}, layers=2, text_config={"layers": 3})
    assert vocabulary.setting(folder, "layers") == 3
    folder = write(tmp_path / "model", {}, layers=2, text_config="x")
    assert vocabulary.setting(folder, "layers") == 2


def test_ends_are_what_any_settings_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", {}, eos_token_id=[1, 5])
    assert vocabulary.ends(folder) == {1, 5}
    (folder / "generation_config.json").write_text('{"eos_token_id": 7}')
    assert vocabulary.ends(folder) == {1, 5, 7}
    (folder / "generation_config.json").write_text("{")
    assert vocabulary.ends(folder) == {1, 5}
