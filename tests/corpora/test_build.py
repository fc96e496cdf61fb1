"""Building corpora: without leakage, the same bytes every time, broken sources named."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from thunder.corpora import build, corpus, rows
from thunder.ground import files, schema
from thunder.ground.errors import Faults, ThunderError
from thunder.language import spelling

RECIPE = {"recipe": "sentences", "rows": 200, "seed": 0, "script": "nko"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("built") / "corpus"
    build.build_recipe(RECIPE, target)
    return target


def _rows(folder: Path, split: str) -> list[dict[str, Any]]:
    return list(files.read_jsonl(folder / f"{split}.jsonl"))


def _source(folder: Path, texts: list[str], column: str = "bam") -> Path:
    path = folder / "source.jsonl"
    files.write_jsonl(path, [{column: text, "name": f"row {i}"} for i, text in enumerate(texts)])
    return path


def _sentences(count: int) -> list[str]:
    from thunder.language import sentences

    return sentences.generate(count, 3, "latin")


WORDS = {
    "latin": ("ne i an aw", "bɛ tɛ bɛna", "kan sɛbɛn ji so", "kalan dɔn ɲini", "sisan sini"),
    "nko": ("ߒ ߊ߬ ߊ߲ ߊߟߎ߫", "ߞߊ߬ ߡߊ߫ ߘߌ߫", "ߞߊ߲ ߖߌ ߛߏ ߝߏߙߏ", "ߝߐ߫ ߟߐ߲߫ ߦߋ߫", "ߓߌ߬ ߛߌߣߌ߲߫"),
}


@pytest.mark.parametrize(("script", "golden"), [("latin", "f629df89f4f4"), ("nko", "ac06c45db6f4")])
def test_a_built_corpus_is_pinned(tmp_path: Path, script: str, golden: str) -> None:
    """May change with a REVISION of rows or perturb, or with the form of the manifest."""
    texts = [" ".join(words) for words in product(*(part.split() for part in WORDS[script]))]
    source = _source(tmp_path, texts)
    build.build_from_file(source, "bam", tmp_path / "c", script=script, seed=0)
    assert corpus.digest(tmp_path / "c")[:12] == golden


def test_two_builds_are_identical(built: Path, tmp_path: Path) -> None:
    build.build_recipe(RECIPE, tmp_path / "again")
    for name in corpus.NAMES:
        assert (tmp_path / "again" / name).read_bytes() == (built / name).read_bytes()


def test_manifest_and_rows_keep_their_schemas(built: Path) -> None:
    schema.check("corpus_manifest", files.read_json(built / "manifest.json"), "manifest")
    for split in corpus.SPLITS:
        for row in _rows(built, split):
            schema.check("corpus_row", row, split)


def test_the_recipe_gives_exactly_the_rows_asked_for(built: Path) -> None:
    counts = files.read_json(built / "manifest.json")["counts"]
    assert sum(counts[split] for split in corpus.SPLITS) == 200
    assert counts == {split: len(_rows(built, split)) for split in corpus.SPLITS} | {
        "dropped": dict.fromkeys(rows.DROPS, 0)
    }


def test_no_reference_of_valid_or_test_is_in_train(built: Path) -> None:
    form = spelling.script("nko")
    seen = set()
    for row in _rows(built, "train"):
        seen |= {spelling.group_key(rows.noisy_text(row), form)}
        seen |= {spelling.group_key(row["messages"][-1]["content"], form)}
    for split in ("valid", "test"):
        for row in _rows(built, split):
            assert spelling.group_key(row["messages"][-1]["content"], form) not in seen


def test_a_row_names_its_partition_and_its_noise(built: Path) -> None:
    for row in _rows(built, "train"):
        system, user, assistant = row["messages"]
        meta = row["meta"]
        assert [m["role"] for m in (system, user, assistant)] == ["system", "user", "assistant"]
        assert user["content"] == f"{meta['partition']}\n{rows.noisy_text(row)}"
        assert (rows.noisy_text(row) == assistant["content"]) == (meta["ops"] == [])
        assert meta["partition"] not in {"stable", "novelty"} or meta["ops"] == []


def test_a_recipe_that_is_built_already_is_kept(built: Path) -> None:
    before = (built / "manifest.json").stat().st_mtime_ns
    manifest = build.build_recipe(RECIPE, built)
    assert manifest["name"] == "sentences-nko-200-0"
    assert (built / "manifest.json").stat().st_mtime_ns == before


def test_the_split_of_a_sentence_depends_on_its_text_alone(tmp_path: Path) -> None:
    every = _sentences(200)
    for name, chosen, seed in (("all", every, 0), ("half", every[::-2], 5)):
        (tmp_path / name).mkdir()
        source = _source(tmp_path / name, chosen)
        build.build_from_file(source, "bam", tmp_path / name / "c", script="latin", seed=seed)
    for split in corpus.SPLITS:
        of_all, of_half = (
            {row["messages"][-1]["content"] for row in _rows(tmp_path / name / "c", split)}
            for name in ("all", "half")
        )
        assert of_half <= of_all


def test_every_filter_counts_what_it_drops(tmp_path: Path) -> None:
    odd = [
        "bɛ",
        "a ye " * 40,
        "ߊ߬ ߦߋ߫ ߞߊ߲ ߝߐ߫",
        "a bɛ\u0007 kalan",
        "a \u0301bɛ kalan",
    ]
    source = _source(tmp_path, _sentences(150) + odd)
    manifest = build.build_from_file(source, "bam", tmp_path / "c", script="latin", seed=0)
    assert manifest["counts"]["dropped"] == {
        "control_character": 1,
        "orphan_mark": 1,
        "foreign_script": 1,
        "too_short": 1,
        "too_long": 1,
        "duplicate": 0,
    }


def test_repeated_sentences_share_a_split_and_are_never_the_same_row(tmp_path: Path) -> None:
    source = _source(tmp_path, _sentences(100) * 3)
    manifest = build.build_from_file(source, "bam", tmp_path / "c", script="latin", seed=0)
    every = [row for split in corpus.SPLITS for row in _rows(tmp_path / "c", split)]
    assert manifest["counts"]["dropped"]["duplicate"] == 300 - len(every) > 0
    assert len({row["meta"]["sha"] for row in every}) == len(every)
    groups = [{r["meta"]["group"] for r in _rows(tmp_path / "c", s)} for s in corpus.SPLITS]
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_a_file_source_is_named_without_its_folder(tmp_path: Path) -> None:
    source = _source(tmp_path, _sentences(120))
    manifest = build.build_from_file(
        source, "bam", tmp_path / "c", script="latin", seed=0, id_column="name", license="CC0-1.0"
    )
    assert manifest["inputs"][0]["path"] == "source.jsonl"
    assert manifest["inputs"][0]["rows"] == 120
    assert manifest["license"] == "CC0-1.0"
    assert not manifest["stand_in"]
    assert str(tmp_path) not in (tmp_path / "c" / "manifest.json").read_text(encoding="utf-8")
    assert _rows(tmp_path / "c", "train")[0]["meta"]["feat_id"].startswith("row ")


def test_a_source_with_a_byte_order_mark_gives_the_same_texts(tmp_path: Path) -> None:
    source = _source(tmp_path, _sentences(120))
    build.build_from_file(source, "bam", tmp_path / "a", script="latin", seed=0)
    source.write_bytes(b"\xef\xbb\xbf" + source.read_bytes())
    build.build_from_file(source, "bam", tmp_path / "b", script="latin", seed=0)
    assert _rows(tmp_path / "a", "train") == _rows(tmp_path / "b", "train")


def test_all_broken_rows_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "source.jsonl"
    path.write_bytes(b'{"bam": "a"}\n{"bam": 3}\n{"bam"\n[]\n{"nko": "x"}\n\xff\n{"bam": null}\n')
    with pytest.raises(Faults, match="broken rows: 6") as caught:
        build.build_from_file(path, "bam", tmp_path / "c", script="latin", seed=0)
    assert caught.value.faults == [
        "source.jsonl:2: 'bam' must be text, is a number",
        "source.jsonl:3: invalid JSON: Expecting ':' delimiter at column 7",
        "source.jsonl:4: a row is a JSON object, this is a list",
        "source.jsonl:5: 'bam' must be text, is missing",
        "source.jsonl:6: not UTF-8: byte 0xff at column 1",
        "source.jsonl:7: 'bam' must be text, is null",
    ]
    assert caught.value.cause == "data"
    assert not (tmp_path / "c").exists()


def test_a_long_list_of_broken_rows_is_cut_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "source.jsonl"
    path.write_text('{"bam": "a"}\n' + "x\n" * 50, encoding="utf-8")
    with pytest.raises(Faults, match="… and 30 more"):
        build.build_from_file(path, "bam", tmp_path / "c", script="latin", seed=0)


@pytest.mark.parametrize("columns", [{"column": "bom"}, {"column": "bam", "id_column": "bom"}])
def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path, columns: Any) -> None:
    source = _source(tmp_path, ["a ye kalan"])
    match = r"no column 'bom' \(did you mean 'bam'\?\); the columns are 'bam', 'name'"
    with pytest.raises(ThunderError, match=match):
        build.build_from_file(source, target=tmp_path / "c", script="latin", seed=0, **columns)


@pytest.mark.parametrize("texts", [[], ["a ye kalan"]])
def test_a_split_is_never_empty(tmp_path: Path, texts: list[str]) -> None:
    source = _source(tmp_path, texts)
    with pytest.raises(ThunderError, match="a split would be empty"):
        build.build_from_file(source, "bam", tmp_path / "c", script="latin", seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["source.jsonl"]


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_what_is_there_is_not_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "c")
    source = _source(tmp_path, _sentences(100))
    with pytest.raises(ThunderError, match="/c exists; a corpus is never built over another"):
        build.build_from_file(source, "bam", tmp_path / "c", script="latin", seed=0)


def test_a_folder_that_no_config_can_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "ߒ"}\n', encoding="utf-8")
    with pytest.raises(ThunderError, match="begins a reference in every config"):
        build.build_from_file(tmp_path / "texts.jsonl", "text", tmp_path / "${x}", script="nko",
                              seed=0)  # fmt: skip


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match=r"none\.jsonl: No such file or directory"):
        build.build_from_file(tmp_path / "none.jsonl", "x", tmp_path / "c", script="nko", seed=0)


def test_an_unknown_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match="no recipe 'poems' for a corpus; there is 'sentences'"):
        build.build_recipe({**RECIPE, "recipe": "poems"}, tmp_path / "c")


@pytest.mark.parametrize(
    ("script", "raw", "normal"),
    [
        ("latin", "  k'a\u200f  kɛ\n", "k’a kɛ"),
        ("latin", "ɛ\u0300 e\u0301", "ɛ\u0300 é"),
        ("nko", "ߞʔߊ߬", "ߞߊ߬"),
        ("nko", "ߞ'ߊ߬ ߓ'ߟ", "ߞ\u07f4ߊ߬ ߓߟ"),
        ("nko", "ߞߊ\u07eb\u07f2،", "ߞߊ\u07f2\u07eb߸"),
    ],
)
def test_a_text_has_one_spelling(script: str, raw: str, normal: str) -> None:
    form = spelling.script(script)
    assert spelling.normalise(raw, form) == normal
    assert spelling.normalise(normal, form) == normal


def test_a_row_is_readable_json(built: Path) -> None:
    line = (built / "train.jsonl").read_text(encoding="utf-8").splitlines()[0]
    assert "\\u" not in line
    assert json.loads(line)["meta"]["script"] == "nko"


def test_a_file_of_which_most_is_left_out_makes_no_corpus(tmp_path: Path) -> None:
    source, target = _source(tmp_path, [*_sentences(150), *["a"] * 300]), tmp_path / "c"
    message = r"300 of 450 rows left out, and --most-left-out allows 50%; nothing was made:"
    with pytest.raises(ThunderError, match=message) as caught:
        build.build_from_file(source, "bam", target, script="latin", seed=0)
    assert "300: too_short" in str(caught.value)
    assert not target.exists()
    build.build_from_file(source, "bam", target, script="latin", seed=0, most_left_out=0.9)
    assert (target / "manifest.json").is_file()
