"""Inputs that are nearly right: a message or a right run, within a deadline, never a traceback."""

import json
import shutil
from pathlib import Path
from typing import Any

import chaos as chaotic
import pytest
import running
from chaos import Chaos
from hypothesis import strategies as st
from mutations import LETTERS, SCALARS, TOKENS, documents, rendered, texts, yaml_lines
from projects import DRY, Project

from thunder.corpora import corpus
from thunder.ground import files, run_files
from thunder.runs import store

pytestmark = pytest.mark.slow

MATRIX = """\
# A question.
profile: mine
axes:
  seed: [0, 1]
  dry.value: [1.5, 2]
set:
  window: null
exclude:
  - {seed: 1, dry.value: 2}
differ: [seed, dry.value]
optional:
  - {seed: 0}
table:
  over: seed
  metrics: [value]
"""
LOCAL = """\
site: local
runtime:
  jobs: 2
  stall_seconds: 60
"""
SETTLED = ["dry.sleep_seconds=0", "dry.fail=false"]


def assert_is_right(answer: chaotic.Answer) -> bool:
    """Say whether it was accepted; a refusal is one message."""
    assert answer.code in (0, 1), answer
    assert answer.code == 0 or answer.err.startswith("thunder: ") or "cause " in answer.out, answer
    assert "cause   crash" not in answer.out, answer
    return answer.code == 0


def ran_right(project: Project, outputs: Path, *words: str) -> None:
    """Run; what is accepted has the numbers of its own config."""
    shutil.rmtree(outputs, ignore_errors=True)
    words = ("--config-dir", str(project.conf), *words, *SETTLED, f"outputs={outputs}")
    if assert_is_right(chaotic.ran(*words)):
        for run in store.all_runs(outputs):
            assert store.verify(run) == []
            document = run.document()
            value = document["dry"]["value"]
            assert run.metrics()["value"] == value
            assert run.metrics()["seed"] == document["seed"]


def test_a_mutated_profile_is_refused_or_run_as_it_says(chaos: Chaos, project: Project) -> None:
    @chaos.each(15, 300, profile=texts(DRY) | yaml_lines(DRY))
    def check(profile: str) -> None:
        project.profile(profile.encode("utf-8", "surrogatepass"))
        ran_right(project, project.root / "outputs", "+profile=mine")
        chaos.tally["mutated inputs"] += 1

    check()


def test_a_mutated_matrix_is_refused_or_run_as_it_says(chaos: Chaos, project: Project) -> None:
    @chaos.each(25, 300, matrix=texts(MATRIX) | yaml_lines(MATRIX))
    def check(matrix: str) -> None:
        project.matrix(matrix.encode("utf-8", "surrogatepass"))
        words = ("--config-dir", str(project.conf), "matrix=question", *SETTLED)
        answer = chaotic.ran(*words, "dry_run=true", f"outputs={project.root / 'outputs'}")
        assert_is_right(answer)
        chaos.tally["mutated inputs"] += 1

    check()


def test_a_mutated_local_yaml_is_refused_or_obeyed(chaos: Chaos, project: Project) -> None:
    @chaos.each(20, 200, local=texts(LOCAL) | yaml_lines(LOCAL))
    def check(local: str) -> None:
        project.write("conf/local.yaml", local.encode("utf-8", "surrogatepass"))
        words = ("--config-dir", str(project.conf), "+profile=mine", "dry_run=true")
        assert_is_right(chaotic.ran(*words, f"outputs={project.root / 'outputs'}"))
        chaos.tally["mutated inputs"] += 1

    check()


KEYS = st.sampled_from(["seed", "dry.value", "+profile", "window", "jobs", "site", "retries"])
RIGHT = ["seed=3", "dry.value=1e5", "window=null", "jobs=2", "site=local", "++seed=1", "wait=true"]
WORDS = (
    st.sampled_from(RIGHT)
    | st.builds("{}={}".format, KEYS, st.integers(0, 9) | st.floats())
    | st.builds("{}={}".format, KEYS, TOKENS | SCALARS.map(str))
    | st.builds("{}={}".format, st.text(LETTERS, max_size=6), TOKENS)
    | st.text(LETTERS, max_size=8)
    | texts("dry.value=1.5")
    | texts("seed=[1,2]")
    | texts("'dry.value=\"ߒߞߏ\"'")
)


def is_bounded(word: str) -> bool:
    """Say whether a word stays in the folders of the test, and can be one of a command line."""
    return "\x00" not in word and "outputs" not in word and not word.startswith(("-", "matrix"))


def test_words_on_a_command_line_are_refused_or_obeyed(chaos: Chaos, project: Project) -> None:
    @chaos.each(30, 400, words=st.lists(WORDS.filter(is_bounded), max_size=2))
    def check(words: list[str]) -> None:
        more = ("--config-dir", str(project.conf), "+profile=mine")
        answer = chaotic.ran(*more, *words, "dry_run=true", f"outputs={project.root / 'outputs'}")
        assert_is_right(answer)
        chaos.tally["mutated inputs"] += 1

    check()


# What lies in outputs/ ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [run_files.RECORD, run_files.CONFIG, run_files.MANIFEST])
def test_a_mutated_file_of_a_run_is_a_message_or_changes_no_number(
    chaos: Chaos, project: Project, name: str
) -> None:
    outputs = project.root / "outputs"
    words = ("--config-dir", str(project.conf), "+profile=mine", f"outputs={outputs}")
    assert chaotic.ran(*words).code == 0
    run = running.only_run(outputs)
    path = run.folder / name
    whole = path.read_bytes()
    right = json.loads(whole)
    kept = {each.name: each.read_bytes() for each in run.folder.iterdir()}

    @chaos.each(5, 100, said=documents(right).map(rendered) | texts(whole.decode()))
    def check(said: str) -> None:
        path.write_bytes(said.encode("utf-8", "surrogatepass"))
        place = ("--outputs", str(outputs))
        questions = (("status",), ("show", run.folder.name), ("verify",), ("plan", "mine"))
        for question in questions:
            more = ("--config-dir", str(project.conf)) if question[0] == "plan" else ()
            assert chaotic.asked(*question, *more, *place).code in (0, 1)
        assert_is_right(chaotic.ran(*words))
        if store.verify(run) == []:
            assert run.metrics() == {"value": 1.0, "value_squared": 1.0, "seed": 0}
        for folder in outputs.glob("dry/*"):
            shutil.rmtree(folder)
        for each, data in kept.items():
            files.write_bytes(run.folder / each, data)
        chaos.tally["mutated inputs"] += 1

    check()


# Rows that people bring ---------------------------------------------------------------------------

MESSAGES = [{"role": "user", "content": "a bɛ kalam"}, {"role": "assistant", "content": "a bɛ"}]
ROW = {"messages": MESSAGES, "meta": {"mine": [1, "x"]}}
REFERENCE = {"feat_id": "row_1", "script": "latin", "reference_text": "a bɛ kalan"}
PREDICTION = {**REFERENCE, "asr_text": "a bɛ kalam", "partition": "stable", "cer_edits": 1}


def lines(row: dict[str, Any]) -> st.SearchStrategy[str]:
    """Draw a line that was a row."""
    return documents(row).map(rendered) | texts(json.dumps(row, ensure_ascii=False))


def test_mutated_rows_of_a_corpus_are_named_or_read(chaos: Chaos, tmp_path: Path) -> None:
    for split in corpus.SPLITS:
        files.write_jsonl(tmp_path / f"{split}.jsonl", [ROW, ROW])
    files.write_json(tmp_path / "manifest.json", {})

    @chaos.each(30, 400, line=lines(ROW))
    def check(line: str) -> None:
        data = f"{json.dumps(ROW)}\n{line}\n"
        (tmp_path / "train.jsonl").write_bytes(data.encode("utf-8", "surrogatepass"))
        refusal = chaotic.refusal_of(lambda: corpus.load(tmp_path))
        assert refusal is None or "train.jsonl:" in refusal
        chaos.tally["mutated inputs"] += 1

    check()


def test_mutated_sentences_are_named_or_built(chaos: Chaos, tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    rows = "".join(json.dumps({"text": f"a bɛ kalan {n} la"}) + "\n" for n in range(30))

    @chaos.each(12, 150, line=lines({"text": "a bɛ kalan", "id": "one"}))
    def check(line: str) -> None:
        source.write_bytes(f"{rows}{line}\n".encode("utf-8", "surrogatepass"))
        target = tmp_path / "corpus"
        shutil.rmtree(target, ignore_errors=True)
        words = ("corpus", "build", str(target), "--source", str(source), "--script", "latin")
        if assert_is_right(chaotic.asked(*words)):
            assert corpus.load(target)["train"]
        chaos.tally["mutated inputs"] += 1

    check()


def test_mutated_rows_of_dumps_are_named_or_scored(chaos: Chaos, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("test_predictions.jsonl", "test_references.jsonl")]

    @chaos.each(
        25, 300, prediction=lines(PREDICTION), reference=lines(REFERENCE), both=st.booleans()
    )
    def check(prediction: str, reference: str, both: bool) -> None:
        said = [prediction, reference if both else json.dumps(REFERENCE)]
        for path, line in zip(paths, said, strict=True):
            path.write_bytes(f"{line}\n".encode("utf-8", "surrogatepass"))
        assert_is_right(chaotic.asked("score", *map(str, paths), "--samples", "10", "--json"))
        chaos.tally["mutated inputs"] += 1

    check()
