import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from projects import DRY, Project

from thunder.commands import requests
from thunder.config import overrides, sources
from thunder.config.plain import plain
from thunder.ground.errors import Faults, ThunderError

PLACES = sources.sources()
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0")).filter(
    lambda text: "${" not in text and text != "???"
)
SCALARS = (
    TEXTS | st.booleans() | st.none() | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["ߒߞߏ", "1", "1e5", "true", "True", "NULL", "nan", "Inf", "a,b", "a b", "'"])
)  # fmt: skip
VALUES = SCALARS | st.lists(SCALARS, max_size=3)


def parsed(word: str) -> Any:
    return overrides.parse([word], PLACES).values


@settings(deadline=None, max_examples=250)
@given(VALUES)
@example("a\\b")
@example('quote " and \\" and \\\\')
@example("\\")
@example("line\nbreak\ttab")
@example("ߒߞߏ 'x' \"y\"")
@example([])
@example(["", "[", "]", ",", "{", "a=b", "~", "+"])
def test_a_command_line_reads_back_as_it_was_written(value: Any) -> None:
    value = plain(value)
    line = overrides.command({}, {"dry.value": value}, [])
    word = shlex.split(line)[-1]
    assert repr(parsed(word)["dry.value"]) == repr(value)


@settings(deadline=None, max_examples=60)
@given(TEXTS.filter(str.strip))
def test_a_name_of_an_option_reads_back_as_it_was_written(name: str) -> None:
    word = shlex.split(overrides.command({"site": name}, {}, []))[-1]
    with pytest.raises(ThunderError) as caught:
        overrides.parse([word], PLACES)
    assert f"no site {name!r}" in str(caught.value)


def test_a_mapping_reads_back_as_it_was_written() -> None:
    value = {"folder": "/a b/ߒߞߏ", "deep": {"x": [1, None]}}
    word = shlex.split(overrides.command({}, {"data.source": value}, []))[-1]
    assert parsed(word) == {"data.source": value}


def test_the_command_of_a_job_makes_the_job_again(project: Project) -> None:
    own = project.profile(DRY, "ߒߞߏ x").parent.parent
    words = ['+profile="ߒߞߏ x"', "dry.value=1e-5", "window=3", "dry.fail=true", "site=local"]
    first = project.read(*words).cells[0].job
    program = shlex.split(first.runtime["reproduce"])
    assert program[:5] == ["python", "-m", "thunder", "--config-dir", str(own)]
    again = project.read(*program[5:]).cells[0].job
    assert again == first


def test_choices_values_and_sweeps_are_told_apart() -> None:
    words = ["+profile=dry", "site=mac_pair", "window=10", "train.steps=4.0", "seed=1,2"]
    parsed = overrides.parse(words, PLACES)
    assert parsed.choices == {"profile": "dry", "site": "mac_pair"}
    assert parsed.values == {"runtime.window": 10, "train.steps": 4}
    assert parsed.sweeps == {"seed": [1, 2]}
    assert parsed.spelt["runtime.window"] == "window=10"


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("seed=1,2", [1, 2]), ("seed=range(1,4)", [1, 2, 3]), ("seed=choice(1,2)", [1, 2]),
        ('name="a,b","ߒߞߏ"', ["a,b", "ߒߞߏ"]), ("rate=1e-5,0.1", [1e-5, 0.1]), ("x=1,1.0", [1, 1]),
    ],
)  # fmt: skip
def test_a_sweep_has_its_values_in_order(word: str, values: list[Any]) -> None:
    (swept,) = overrides.parse([word], PLACES).sweeps.values()
    assert repr(swept) == repr(values)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("seed", "not an override; write key=value"),
        ("", "not an override; write key=value"),
        ("=3", "'' is not a key"),
        ("a b=1", "'a b' is not a key"),
        ("dry..value=1", "'dry..value' is not a key"),
        ("ߒ=1", "'ߒ' is not a key"),
        ("data.name=ߒߞߏ", "text that is not ASCII needs quotes inside quotes: 'data.name=\"ߒߞߏ\"'"),
        ("dry.value=[1,", "to give it as text, quote it: 'dry.value=\"[1,\"'"),
        ("~dry.value", "a key cannot be taken away"),
        ("site@foo=local", "a group cannot be moved to another package"),
        ("seed=interval(1,2)", "intervals and globs cannot be run; list the values: a,b,c"),
        ("+profile=glob(*)", "intervals and globs cannot be run"),
        ("dry.value=nan", "nan is not a finite number"),
        ("dry.value=[1,-inf]", "-inf is not a finite number"),
        ("seed=1,nan", "nan is not a finite number"),
        ("seed=9007199254740992", "is an integer beyond ±9007199254740991"),
        ("data.name='${seed}'", "references like ${KEY} belong into a profile"),
        ("runtime.command=x", "runtime.command is filled in when a job is made"),
        ("runtime.profile=x", "runtime.profile is filled in"),
        ("runtime.paths.model=/x", "runtime.paths.model is filled in"),
        ('outputs="\udcff"', "is not UTF-8"),
    ],
)
def test_a_word_that_cannot_be_read_is_told_with_what_to_do(word: str, message: str) -> None:
    with pytest.raises(Faults) as caught:
        overrides.parse(["+profile=dry", word], PLACES)
    (fault,) = caught.value.faults
    assert fault.startswith(f"{word!r}: ")
    assert message in fault


def test_all_words_that_cannot_be_read_are_told_at_once() -> None:
    with pytest.raises(Faults) as caught:
        overrides.parse(["seed", "dry.value=ߒ", "seed=1", "seed=2", "~x", "x=inf"], PLACES)
    assert len(caught.value.faults) == 5


@pytest.mark.parametrize(
    "words", [("seed=1", "seed=2"), ("+profile=dry", "profile=smoke"), ("jobs=1", "runtime.jobs=2")]
)
def test_a_key_that_is_given_twice_is_refused(words: tuple[str, str]) -> None:
    with pytest.raises(Faults, match=r"is given twice, also as"):
        overrides.parse(words, PLACES)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["+profile=dry", "seed=1,2"], "'seed=1,2' is a sweep; add -m to run all its values"),
        (["+profile=dry", "seed=[" + "1," * 5000 + "1]"], "…: a word has 10,000 letters at most"),
        (["matrix=adapter_rank", "matrix=adapter_learning_rate"], "one matrix at a time"),
        (["matrix=adapter_rank", "seed=4"], "'seed' is an axis of matrix 'adapter_rank'"),
        (["+profile=dry", "dry.vaule=1"], "'dry.vaule=1': dry.vaule: not a key here (did you mean"),
        (["+profile=dry", "dry=3"], "command line 'dry=3': dry: 3 is an integer, not a mapping"),
        (["+profile=dry", "dry.value.x=3"], "'dry.value.x=3': dry.value: {'x': 3} is a mapping"),
        (["+profile=dry", "dry={value: 3}"], "'dry={value: 3}': dry.fail: missing"),
        (["+profile=dry", "seed=true"], "'seed=true': seed: true is a boolean, not an integer"),
        (["+profile=dry", "hydra.run.dir=x"], "'hydra.run.dir=x': hydra: not a key here"),
        (["+profile=dry", "model=gemma4_e2b"], "this profile chooses no model"),
        (["+profile=smoke", "target=5"], "'target=5': runtime.target: 5 is past the end: the job"),
        (["+profile=smoke", "window=0"], "'window=0': runtime.window: 0 is less than the minimum"),
        (["+profile=smoke", "train.rank_weights=[1]"], "train.rank_weights: 1 weights for 2 ranks"),
        (["+profile=smoke", "train.rank_weights=[1,a]"], "train.rank_weights[1]: 'a' is a string"),
        (["+profile=smoke", "train.strategy=tens"], "train.strategy: 'tens' is not allowed"),
        (
            ["+profile=smoke", "train.strategy=tensor", "train.rank_weights=[2,1]"],
            "train.rank_weights: [2, 1], but with strategy tensor every rank sees every row; write",
        ),
        (
            ["+profile=smoke", "train.strategy=tensor", "train.ranks=1", "train.rank_weights=[1]"],
            "train.ranks: 1, but strategy tensor splits a model over 2 or more; use data",
        ),
    ],
)
def test_a_mistake_on_the_command_line_names_the_word(words: list[str], message: str) -> None:
    with pytest.raises(ThunderError) as caught:
        requests.read(words)
    assert message in str(caught.value)


def test_a_matrix_and_a_sweep_do_not_go_together() -> None:
    with pytest.raises(ThunderError, match="do not go together"):
        requests.read(["matrix=adapter_rank", "train.steps=1,2"], sweep=True)


def test_where_runs_are_is_a_flag_of_a_task(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match=r"'outputs=there': here, --outputs says where runs are"):
        requests.named("dry", ["outputs=there"], outputs=tmp_path)
    assert requests.named("dry", ["seed=1"], outputs=tmp_path).outputs == tmp_path
