import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thunder.ground import digest
from thunder.ground.errors import ThunderError
from thunder.lanes.adapter.model import model_folder, standin, standin_tokenizer

SOURCE = {
    "recipe": "tiny_gemma4",
    "hidden": 64,
    "layers": 4,
    "vocabulary": 384,
    "seed": 0,
    "pretrain_steps": 0,
    "bits": 0,
    "learning_rate_factor": 1000.0,
}
TEXTS = [
    "ߋ ߓߐ ߓߏ ߣߌ ߕߍߙߍ ߌߣ ߦߍ ߕߍߙߍ ߢߎߡߊߣ ߌߣ",
    "ߛߋ ߞߏߣߏ ߞߊ ߕߊߊ ߣߌ ߦߍ ߝߊߣߥߐߙߐ ߝߐ",
    "ߒ ߕߍߙߍ ߓߐ ߞߏߣߏ ߣߌ ߦߍ ߛߋ ߓߏ ߞߊ ߕߊߊ",
] * 8
TURNS = [
    {"role": "system", "content": "Correct the line."},
    {"role": "user", "content": " ߋ ߓߐ \n"},
    {"role": "assistant", "content": "ߓߏ"},
]
BUILD = """
import json, sys
from pathlib import Path
from thunder.backends.mlx import blas, lean
lean.without_torch()
from thunder.lanes.adapter.model import standin
place, sources, texts = Path(sys.argv[1]), *json.load(sys.stdin)
blas.load(place / "cache")
print(json.dumps([standin.build(s, texts, place / str(n)) for n, s in enumerate(sources)]))
"""

FULL = """
import json, resource, sys
from pathlib import Path
from thunder.backends.mlx import blas, lean
lean.without_torch()
from thunder.corpora import build
from thunder.ground.errors import cause_of, message_of
from thunder.lanes.adapter.data import token_rows
from thunder.lanes.adapter.model import standin
place, most, (source, texts) = Path(sys.argv[1]), int(sys.argv[2]), json.load(sys.stdin)
blas.load(place / "cache")
import mlx.core, mlx_lm.models.gemma4
sentences = {"recipe": "sentences", "rows": 400, "seed": 0, "script": "nko"}
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
for work in (
    lambda: standin.build(source, texts, place / "model"),
    lambda: build.build_recipe(sentences, place / "corpus"),
    lambda: token_rows.save(place / "train.npz", token_rows.pack([(range(20000), 1)])),
):
    try:
        work()
    except Exception as error:
        print(cause_of(error), message_of(error))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("models") / "standin"
    standin.build(SOURCE, TEXTS, target)
    return target


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Iterator[tuple[Any, Any]]:
    import mlx.core as mx
    import mlx_lm

    # A cold cache of compiled kernels takes half a minute.
    mx.disable_compile()
    model, tokenizer = mlx_lm.load(str(folder))
    yield model, tokenizer
    mx.enable_compile()


def _loss(model: Any, tokenizer: Any) -> float:
    import mlx.core as mx
    import mlx.nn as nn

    tokens = mx.array([tokenizer.encode(TEXTS[0])])
    return float(nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:]).mean())


def _build_elsewhere(place: Path, sources: list[dict[str, Any]]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(place)],
        input=json.dumps([sources, TEXTS]),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[4],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_folder_is_a_complete_model(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert model_folder.check(folder)[0] == []


def test_config_says_that_it_is_a_stand_in(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["thunder_stand_in"] is True
    assert "stand-in" in config["_name_or_path"]


def test_mlx_lm_loads_and_generates(loaded: tuple[Any, Any]) -> None:
    import mlx_lm

    model, tokenizer = loaded
    prompt = tokenizer.apply_chat_template(TURNS[:2], add_generation_prompt=True)
    steps = list(mlx_lm.stream_generate(model, tokenizer, prompt, max_tokens=4))
    assert 1 <= len(steps) <= 4
    assert tokenizer.eos_token_ids == {standin_tokenizer.EOS, standin_tokenizer.TURN_END}


def test_untrained_model_knows_nothing(loaded: tuple[Any, Any]) -> None:
    assert _loss(*loaded) == pytest.approx(5.95, abs=1.2)  # the logarithm of 384


def test_template_writes_turns_with_one_bos(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    text = tokenizer.apply_chat_template(TURNS, tokenize=False)
    assert text == (
        "<bos><|turn>system\nCorrect the line.<turn|>\n<|turn>user\nߋ ߓߐ<turn|>\n"
        "<|turn>model\nߓߏ<turn|>\n"
    )
    tokens = tokenizer.apply_chat_template(TURNS, return_dict=False)
    assert tokens[0] == standin_tokenizer.BOS
    assert tokens.count(standin_tokenizer.BOS) == 1
    assert tokens == tokenizer.encode(text, add_special_tokens=False)


def test_prompt_is_the_beginning_of_the_full_row(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    prompt = tokenizer.apply_chat_template(TURNS[:2], add_generation_prompt=True, return_dict=False)
    full = tokenizer.apply_chat_template(TURNS, return_dict=False)
    assert full[: len(prompt)] == prompt
    assert full[len(prompt) :] == tokenizer.encode("ߓߏ<turn|>\n", add_special_tokens=False)


def test_encoding_the_text_of_the_template_again_doubles_bos(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    text = tokenizer.apply_chat_template(TURNS, tokenize=False)
    assert tokenizer.encode(text)[:2] == [standin_tokenizer.BOS, standin_tokenizer.BOS]


def test_unknown_role_is_refused(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    with pytest.raises(Exception, match="role tool: only system, user and assistant"):
        tokenizer.apply_chat_template([{"role": "tool", "content": ""}])


@pytest.mark.parametrize(
    "text",
    [
        "ߋ ߓߐ ߓߏ",
        "ߞߊ߲߫ ߒߞߏ߫ ߸ ߹",
        "  two  spaces\nand\ttabs ",
        "漢字 🎉 é",
        "<bad> <0x0A> <unused1> a<b",
        "",
    ],
)
def test_any_text_comes_back(loaded: tuple[Any, Any], text: str) -> None:
    _, tokenizer = loaded
    tokens = tokenizer.encode(text, add_special_tokens=False)
    assert standin_tokenizer.UNKNOWN not in tokens
    assert tokenizer.decode(tokens) == text


def test_words_of_the_texts_take_few_tokens(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    assert len(tokenizer.encode("ߕߍߙߍ ", add_special_tokens=False)) == 1


def test_vocabulary_has_the_size_asked_for(folder: Path, loaded: tuple[Any, Any]) -> None:
    tokens = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    assert sorted(tokens.values()) == list(range(384))
    assert loaded[0].language_model.model.embed_tokens.weight.shape == (384, 64)


def test_texts_that_spell_special_tokens_cannot_break_the_vocabulary() -> None:
    tokenizer = standin_tokenizer.learn(["<bos> <0x41> <unused0> <|turn>"] * 9, 300)
    assert len(tokenizer["model"]["vocab"]) == 300


@pytest.mark.parametrize("size", [standin_tokenizer.LEAST + more for more in (0, 1, 10)])
def test_tokenizer_needs_no_room_beyond_the_bytes(size: int) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(json.dumps(standin_tokenizer.learn(TEXTS, size)))
    assert tokenizer.get_vocab_size() == size
    assert tokenizer.decode(tokenizer.encode(TEXTS[0]).ids) == TEXTS[0]


def test_space_comes_back_where_no_text_had_one() -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(json.dumps(standin_tokenizer.learn(["ߓߏ"], 300)))
    assert tokenizer.decode(tokenizer.encode("ߓߏ ߓߏ").ids) == "ߓߏ ߓߏ"


@pytest.mark.slow
def test_two_processes_build_the_same_bytes(tmp_path: Path, folder: Path) -> None:
    sources = [SOURCE, SOURCE | {"pretrain_steps": 2, "bits": 4}]
    digests = [_build_elsewhere(tmp_path / name, sources) for name in "ab"]
    assert digests[0] == digests[1]
    for number in "01":
        assert _bytes(tmp_path / "a" / number) == _bytes(tmp_path / "b" / number)
    assert _bytes(tmp_path / "a" / "0") == _bytes(folder)


@pytest.mark.parametrize("change", [{"seed": 1}, {"hidden": 32}, {"layers": 2}, {"bits": 4}])
def test_each_key_of_the_recipe_changes_the_bytes(
    tmp_path: Path, folder: Path, change: dict[str, int]
) -> None:
    built = standin.build(SOURCE | change, TEXTS, tmp_path / "other")
    assert built != model_folder.digest(folder)


def test_learning_rate_factor_changes_nothing(tmp_path: Path, folder: Path) -> None:
    other = SOURCE | {"learning_rate_factor": 1.0}
    built = standin.build(other, TEXTS, tmp_path / "other")
    assert built == model_folder.digest(folder)
    assert standin.digest_of(other, "0" * 64) == standin.digest_of(SOURCE, "0" * 64)


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
def test_any_number_of_layers_computes(
    tmp_path: Path, loaded: tuple[Any, Any], layers: int
) -> None:
    import mlx_lm

    standin.build(SOURCE | {"layers": layers}, TEXTS, tmp_path / "model")
    assert _loss(*mlx_lm.load(str(tmp_path / "model"))) > 0


def test_quantised_model_computes(tmp_path: Path, loaded: tuple[Any, Any]) -> None:
    import mlx_lm

    standin.build(SOURCE | {"bits": 4}, TEXTS, tmp_path / "model")
    model, tokenizer = mlx_lm.load(str(tmp_path / "model"))
    assert model.language_model.model.layers[0].self_attn.q_proj.bits == 4
    assert _loss(model, tokenizer) == pytest.approx(_loss(*loaded), abs=0.5)


@pytest.mark.slow
def test_pretrained_model_knows_its_texts(tmp_path: Path, loaded: tuple[Any, Any]) -> None:
    import mlx_lm

    standin.build(SOURCE | {"pretrain_steps": 8}, TEXTS, tmp_path / "model")
    assert _loss(*mlx_lm.load(str(tmp_path / "model"))) < _loss(*loaded) - 0.5


def test_cache_key_covers_the_recipe_and_the_corpus() -> None:
    known = standin.digest_of(SOURCE, "0" * 64)
    others = [
        standin.digest_of(SOURCE | {key: SOURCE[key] * 2 or 1}, "0" * 64)
        for key in standin.SHAPING
        if key != "recipe"
    ]
    assert len({known, *others, standin.digest_of(SOURCE, "1" * 64)}) == len(standin.SHAPING) + 1


def test_digest_is_the_one_of_the_shared_rule(folder: Path) -> None:
    names = [path.name for path in folder.iterdir() if not path.name.endswith(".index.json")]
    assert model_folder.digest(folder) == digest.of_folder(folder, names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "tiny_llama"}, "recipe is 'tiny_llama'; the only one is 'tiny_gemma4'"),
        ({"vocabulary": 100}, "vocabulary is 100; bytes, space and special tokens alone take 263"),
        ({"hidden": 48}, "hidden is 48; it must be a multiple of 32"),
    ],
)
def test_impossible_recipes_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ThunderError, match=message):
        standin.build(SOURCE | change, TEXTS, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_no_text_is_a_fault_of_the_data(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match="no text to train") as caught:
        standin.build(SOURCE, ["", " "], tmp_path / "model")
    assert caught.value.cause == "data"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("most", "name"), [(3000, "tokenizer.json"), (60000, "model.safetensors")], ids=["text", "mlx"]
)
def test_a_disk_that_is_full_is_a_write_error_with_the_path(
    tmp_path: Path, most: int, name: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(most)],
        input=json.dumps([SOURCE, TEXTS]), capture_output=True, text=True, check=True,
    )  # fmt: skip
    model, corpus, rows = done.stdout.splitlines()
    assert model.startswith(f"write {tmp_path}/.model.")
    assert f".thunder-tmp/{name}: " in model
    assert corpus.startswith(f"write {tmp_path}/.corpus.")
    assert corpus.endswith("train.jsonl: File too large")
    assert rows == f"write {tmp_path}/train.npz: File too large"
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}
