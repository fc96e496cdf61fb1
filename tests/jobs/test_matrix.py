import itertools
import shlex
from pathlib import Path
from typing import Any

import pytest
from projects import DRY, Project

from thunder.commands import requests
from thunder.config import overrides, sources
from thunder.config.plain import plain
from thunder.ground import command, digest
from thunder.ground.errors import Faults, ThunderError
from thunder.ground.places import SHIPPED
from thunder.jobs import job, matrix, matrix_file
from thunder.jobs.matrix_file import Matrix

PLACES = sources.sources()
MATRICES = sorted(path.stem for path in (SHIPPED / "matrices").glob("*.yaml"))
BASE = "profile: mine\naxes:\n  seed: [0, 1]\n  dry.value: [1, 2, 3]\n"


def cells(project: Project, text: str, *words: str) -> list[dict[str, Any]]:
    project.matrix(text)
    return [cell.coordinates for cell in project.read("matrix=question", *words).cells]


def fault(project: Project, text: str | bytes, *words: str) -> str:
    project.matrix(text)
    with pytest.raises(ThunderError) as caught:
        project.read("matrix=question", *words)
    return str(caught.value)


# --- committed matrices


def _full(choices: dict[str, str], values: dict[str, Any]) -> dict[str, Any]:
    """Compose one cell with nothing but Hydra: the choices and values as its own overrides."""
    import hydra
    from omegaconf import OmegaConf

    words = [f"{'+' if key == 'profile' else ''}{key}={name}" for key, name in choices.items()]
    words += [f"{key}={command.spelt(value)}" for key, value in values.items()]
    conf = str(SHIPPED / "conf")
    with hydra.initialize_config_dir(conf, version_base=None, job_name="thunder"):
        composed = OmegaConf.to_container(hydra.compose("config", overrides=words), resolve=True)
    found = plain(composed)
    assert isinstance(found, dict)
    return {**found, "runtime": {**found["runtime"], "profile": choices["profile"]}}


@pytest.mark.slow
@pytest.mark.parametrize("name", MATRICES)
def test_fast_expansion_equals_full_composition(name: str) -> None:
    request = requests.read([f"matrix={name}"])
    assert request.matrix is not None
    expansion = matrix._Expansion(request.matrix, request.words, PLACES)
    assert len(request.cells) == len({cell.label for cell in request.cells}) > 1
    for cell in request.cells:
        full = _full(*expansion.sides(cell.coordinates))
        assert digest.canonical(
            expansion.config(*expansion.sides(cell.coordinates))
        ) == digest.canonical(full)
        assert cell.job.id == job.make(full).id


@pytest.mark.slow
def test_fast_expansion_equals_full_composition_over_groups_and_references() -> None:
    axes = {
        "profile": ["smoke", "synthetic_2k_safe"],
        "data": ["partial_real", "synthetic_2k"],
        "runtime.site.data.partial_real.rows": [100, 200],
        "train.learning_rate": [1e-6, 0.001],
        "target": [2, None],
    }
    spec = {"axes": axes, "set": {"window": 2, "data.too_long": "refuse"}}
    found = Matrix("all", spec, {(): "here"})
    expansion = matrix._Expansion(found, overrides.parse([], PLACES), PLACES)
    seen = set()
    for values in itertools.product(*axes.values()):
        point = dict(zip(axes, values, strict=True))
        config = expansion.config(*expansion.sides(point))
        assert digest.canonical(config) == digest.canonical(_full(*expansion.sides(point)))
        seen.add((job.id_of(job.document(config)), point["target"]))
    assert len(seen) == 24  # rows of partial_real do not count where synthetic_2k is read


@pytest.mark.parametrize("name", MATRICES)
def test_a_committed_matrix_begins_with_its_question(name: str) -> None:
    first = (SHIPPED / "matrices" / f"{name}.yaml").read_text().splitlines()[0]
    assert first.startswith("# ")
    assert "?" in first


@pytest.mark.parametrize("name", MATRICES)
def test_the_command_of_a_cell_makes_that_cell_alone(name: str) -> None:
    last = requests.read([f"matrix={name}", "outputs='a b'"]).cells[-1].job
    (alone,) = requests.read(shlex.split(last.runtime["reproduce"])[3:]).cells
    assert alone.job == last


# --- the words of a matrix


def test_cells_are_the_product_in_file_order(project: Project) -> None:
    assert cells(project, BASE) == [
        {"seed": seed, "dry.value": value} for seed in (0, 1) for value in (1, 2, 3)
    ]


def test_exclude_takes_cells_out_and_include_adds_them(project: Project) -> None:
    text = BASE + "exclude:\n  - {seed: 1}\ninclude:\n  - {seed: 7, dry.fail: true}\n"
    assert cells(project, text) == [
        {"seed": 0, "dry.value": 1}, {"seed": 0, "dry.value": 2}, {"seed": 0, "dry.value": 3},
        {"seed": 7, "dry.fail": True},
    ]  # fmt: skip


def test_set_holds_for_all_cells_and_words_win_over_it(project: Project) -> None:
    project.matrix(BASE + "set: {dry.sleep_seconds: 2, window: 4}\n")
    found = project.read("matrix=question", "runtime.window=5").cells
    assert {cell.job.config["dry"]["sleep_seconds"] for cell in found} == {2}
    assert {cell.job.runtime["window"] for cell in found} == {5}


def test_an_axis_can_be_a_group_a_profile_a_window_or_a_target(project: Project) -> None:
    project.profile(DRY.replace("value: 1", "value: 9"), "other")
    assert len(cells(project, "axes: {profile: [mine, other], seed: [0, 1]}\n")) == 4
    text = "profile: smoke\naxes: {data: [partial_real, synthetic_2k], target: [2, 4]}\n"
    project.matrix(text + "set: {window: 2}\n")
    found = project.read("matrix=question").cells
    assert [(cell.job.config["data"]["name"], cell.job.goal) for cell in found] == [
        ("partial_real", 2), ("partial_real", 4), ("synthetic_2k", 2), ("synthetic_2k", 4),
    ]  # fmt: skip
    assert len({cell.job.id for cell in found}) == 2


def test_true_and_1_are_two_values(project: Project) -> None:
    text = "profile: mine\naxes: {dry.value: [0, false, 1]}\nexclude: [{dry.value: false}]\n"
    assert cells(project, text) == [{"dry.value": 0}, {"dry.value": 1}]
    message = fault(project, text.replace("0, false, 1", "0, 1"))
    assert "exclude {'dry.value': False} matches no cell" in message


def test_an_ad_hoc_sweep_is_the_matrix_of_its_words(project: Project) -> None:
    project.matrix(BASE)
    filed = project.read("matrix=question").cells
    swept = project.read("+profile=mine", "seed=0,1", "dry.value=1,2,3", sweep=True)
    assert [cell.job.id for cell in swept.cells] == [cell.job.id for cell in filed]
    assert [cell.coordinates for cell in swept.cells] == [cell.coordinates for cell in filed]


def test_a_sweep_is_named_after_what_it_computes(project: Project) -> None:
    def name(*words: str) -> str:
        found = project.read("+profile=mine", "seed=0,1", *words, sweep=True).matrix
        assert found is not None
        return found.name

    assert name() == name("jobs=2", "dry_run=true", "outputs=elsewhere")
    assert len({name(), name("dry.value=3"), name("dry.value=4"), name("window=3")}) == 4


@pytest.mark.parametrize("words", ["same: [dry]", "differ: [seed]", "same: [kind, dry.fail]"])
def test_arms_that_match_pass(project: Project, words: str) -> None:
    assert len(cells(project, f"profile: mine\naxes: {{seed: [0, 1]}}\n{words}\n")) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("same: [seed]", "seed: 0 in (seed=0) but 1 in (seed=1)"),
        ("differ: [dry.value]", "seed: 0 in (seed=0) but 1 in (seed=1)"),
        ("same: [dri]", "dri: no cell has such a key (did you mean 'dry'?)"),
        (
            "differ: [seed, dry.vaule]",
            "dry.vaule: no cell has such a key (did you mean 'dry.value'?)",
        ),
        ("same: [runtime]", "runtime: no cell has such a key"),
    ],
)
def test_arms_that_do_not_match_are_refused(project: Project, words: str, message: str) -> None:
    text = f"profile: mine\naxes: {{seed: [0, 1]}}\n{words}\n"
    assert fault(project, text) == f"the cells of 'question' are not comparable:\n  {message}"


def test_a_section_that_only_one_arm_has_is_a_difference(project: Project) -> None:
    project.write("conf/model/real.yaml", "name: gemma4_e2b\nsource: {folder: m}\n")
    (project.root / "m").mkdir()
    text = "profile: smoke\naxes: {model: [gemma4_e2b, real]}\nsame: [model.source]\n"
    message = fault(project, text)
    assert "model.source.digest: nothing in (model=gemma4_e2b) but " in message


# --- mistakes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "matrices/question.yaml: axes: missing"),
        ("[]", "matrices/question.yaml: a mapping is needed, found list"),
        (b"# \xff\n", "matrices/question.yaml:1: not UTF-8: byte 0xff"),
        ("axes: [", "matrices/question.yaml:2: did not find expected node content"),
        ("axes: {}", "question.yaml:1: axes: {} is too short"),
        ("axes: {seed: []}", "question.yaml:1: axes.seed: [] is too short"),
        ("axes: {seed: 3}", "question.yaml:1: axes.seed: 3 is an integer, not a list"),
        ("axes: {dry: [{a: 1}]}", "axes.dry[0]: {'a': 1} is a mapping, not a string or number"),
        ("axes: {seed: [[1]]}", "axes.seed[0]: [1] is a list, not a string"),
        ("axes: {seed: [1]}", "question.yaml: profile: missing (the profile that is varied)"),
        ("profile: mien\naxes: {seed: [1]}", ":1: profile: no profile 'mien' (did you mean 'mine'"),
        ("profile: mien\naxes: {profile: [mine]}", ":1: profile: no profile 'mien'"),
        ("axes:\n  profile:\n    - mine\n    - mien", ":4: profile: no profile 'mien'"),
        ("axes: {profile: [mine, 1, null]}", "profile: no profile 'None'"),
        ("axis: {seed: [1]}", ":1: axis: not a key here (did you mean 'axes'?)"),
        (BASE + "set: {site: lcoal}", ":5: site: no site 'lcoal' (did you mean 'local'?)"),
        (BASE + "set:\n  seed: 4", ":6: set: 'seed' is an axis as well"),
        (BASE + "set: {runtime.command: x}", ":5: runtime.command is filled in when"),
        (BASE + "  jobs: [1, 2]", ":5: jobs holds for all cells; give it on the command line or"),
        (BASE + "  runtime.outputs: [a, b]", ":5: runtime.outputs holds for all cells"),
        (
            BASE + "  window: [1]\n  runtime.window: [1]",
            ":6: axes: runtime.window is an axis twice",
        ),
        (BASE + "  seed: [2]", ":5: found duplicate key seed"),
        (BASE + "  '': [2]", ":5: '' is not a key"),
        (BASE + "  dry..fail: [2]", ":5: 'dry..fail' is not a key"),
        (BASE + "  dry.fail: ['${seed}']", "dry.fail: '${seed}': references like ${KEY} belong"),
        (BASE + "  dry.sleep_seconds: [.inf]", "sleep_seconds[0]: inf is not a finite number"),
        (
            BASE + "exclude:\n  - {seed: 0}\n  - {seed: 3}",
            ":7: exclude {'seed': 3} matches no cell",
        ),
        (BASE + "exclude: [{sede: 3}]", ":5: exclude {'sede': 3}: 'sede' is not an axis (did you "),
        (BASE + "exclude: [{seed: 0}, {seed: 1}]", "matrix 'question' has no cell left"),
        (BASE + "exclude: [{}]", "exclude[0]: {} is too short"),
        (BASE + "include: [{sede: 3}]", ":5: sede: not a key here (did you mean 'seed'?)"),
        (BASE + "include:\n  - {seed: 5}\n  - {seed: -5}", ":7: seed: -5 is less than the minimum"),
        (BASE + "table: {over: sede, metrics: [value]}", "table.over: 'sede' is not an axis (did "),
        (BASE + "table: {over: seed, metrics: [Value]}", "table.metrics[0]: 'Value' does not look"),
        ("profile: mine\naxes: {seeed: [1]}", ":2: seeed: not a key here (did you mean 'seed'?)"),
        (
            "profile: mine\naxes: {dry.vaule: [1]}",
            "dry.vaule: not a key here (did you mean 'value'",
        ),
        ("profile: mine\naxes: {dry.fail: [0, no]}", "dry.fail: 0 is an integer, not a boolean"),
        ("profile: mine\naxes: {dry: [0]}", "dry: 0 is an integer, not a mapping"),
        ("profile: mine\naxes: {model: [gemma4_e2b]}", "this profile chooses no model"),
    ],
)
def test_a_mistake_in_a_matrix_is_told_with_its_line(
    project: Project, text: str | bytes, message: str
) -> None:
    assert message in fault(project, text)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (BASE + "include: [{seed: 1, dry.value: 2}]", "(seed=1 dry.value=2)"),
        ("profile: mine\naxes: {seed: [1, 1.0]}", "(seed=1)"),
        ("profile: mine\naxes: {window: [1, 2]}", "(window=1)"),
    ],
)
def test_duplicate_cells_are_refused(project: Project, text: str, first: str) -> None:
    message = fault(project, text)
    assert "matrix 'question' has duplicate cells (keys of runtime are outside the id)" in message
    assert f"{first} and (" in message


def test_an_axis_cannot_be_given_on_the_command_line(project: Project) -> None:
    assert "'seed' is an axis of matrix" in fault(project, BASE, "seed=3")
    text = BASE + "include: [{seed: 3, window: 2}]\n"
    assert "'runtime.window' is an axis of matrix" in fault(project, text, "window=3")


def test_a_fault_of_many_cells_is_told_once_with_the_count(project: Project) -> None:
    text = "profile: mine\naxes: {seed: [0, -1], dry.value: [1, 2, 3]}\nset: {dry.fail: maybe}\n"
    message = fault(project, text)
    lines = message.splitlines()
    assert lines[0] == "matrix 'question' has cells that cannot run:"
    assert len(lines) == 3
    assert "dry.fail: 'maybe' is a string, not a boolean" in lines[1]
    assert lines[1].endswith("(in every cell)")
    assert "seed: -1 is less than the minimum" in lines[2]
    assert lines[2].endswith("(3 cells, first seed=-1 dry.value=1)")


def test_faults_of_every_cell_are_not_told_without_end(project: Project) -> None:
    values = ", ".join(str(-number) for number in range(1, 500))
    message = fault(project, f"profile: mine\naxes: {{seed: [{values}]}}\n")
    assert 10 < len(message.splitlines()) < 40


def test_a_fault_of_ten_thousand_cells_is_told_soon(project: Project) -> None:
    hundred = list(range(100))
    text = f"profile: mine\naxes: {{seed: {hundred}, dry.value: {hundred}}}\n"
    message = fault(project, text + "set: {dry.fail: maybe}\n")
    assert "dry.fail: 'maybe' is a string" in message
    assert message.endswith("(100 cells or more, first seed=0 dry.value=0)")


@pytest.mark.slow
def test_ten_thousand_cells_expand(project: Project) -> None:
    hundred = list(range(100))
    project.matrix(f"profile: mine\naxes: {{seed: {hundred}, dry.value: {hundred}}}\n")
    found = project.read("matrix=question").cells
    assert len({cell.job.id for cell in found}) == 10_000
    alone = project.read("+profile=mine", "seed=73", "dry.value=21").cells[0].job
    assert found[7321].job.id == alone.id


def test_a_matrix_of_the_user_stands_beside_those_of_thunder(project: Project) -> None:
    assert len(cells(project, BASE)) == 6
    assert len(project.read("matrix=adapter_rank").cells) == 9


def test_the_path_of_a_matrix_is_found(project: Project) -> None:
    path = project.matrix(BASE)
    assert matrix_file.path_of("question", project.places) == path
    assert matrix_file.path_of("sweep_00000000", project.places) is None
    assert isinstance(matrix_file.path_of("adapter_rank", PLACES), Path)


def test_faults_is_what_is_raised_for_many(project: Project) -> None:
    project.matrix(BASE + "exclude: [{sede: 1}, {seed: 9}]\n")
    with pytest.raises(Faults) as caught:
        project.read("matrix=question")
    assert len(caught.value.faults) == 2
