"""What is read as something else than was meant is told with the spelling that works."""

import pytest
from projects import DRY, Project

from thunder.ground.errors import ThunderError

HUB = "model.source={hub:a/b,commit:%s}"


def fault(project: Project, *words: str, sweep: bool = False) -> str:
    with pytest.raises(ThunderError) as caught:
        project.read(*words, sweep=sweep)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("695e0514", "a number"), ("1234567", "a number"), ("0x10", "a number"), ("12", "a number"),
        ("1e5", "a number"), ("no", "true or false"), ("Off", "true or false"), ("~", "null"),
    ],
)  # fmt: skip
def test_an_unquoted_text_of_a_file_is_told_to_be_quoted(
    project: Project, written: str, kind: str
) -> None:
    head = "# @package _global_\ndefaults: [smoke, override /model: mine, _self_]\n"
    project.write("conf/model/mine.yaml", f"name: mine\nsource: {{hub: a/b, commit: {written}}}\n")
    project.profile(head)
    said = f"; {written} is read as {kind}: for text, quote it"
    assert "conf/model/mine.yaml:2: model.source.commit: " in fault(project, "+profile=mine")
    assert fault(project, "+profile=mine").endswith(said)
    project.write(
        "conf/model/mine.yaml", f"name: mine\nsource: {{hub: a/b, commit: '{written}'}}\n"
    )
    assert "is read as" not in fault(project, "+profile=mine")


@pytest.mark.parametrize("commit", ["695e0514", "7e999", "1" * 40])
@pytest.mark.parametrize("option", ["gemma4_e2b", "folder"])
def test_a_commit_over_another_form_of_a_source_is_told_to_be_quoted(
    project: Project, commit: str, option: str
) -> None:
    head = f"# @package _global_\ndefaults: [smoke, {{override /model: {option}}}, _self_]\n"
    project.profile(f"{head}model: {{source: {{hub: a/b, commit: {commit}}}}}\n")
    (line,) = [row for row in fault(project, "+profile=mine").splitlines() if "commit: " in row]
    assert "conf/profile/mine.yaml:3: model.source.commit: " in line
    assert line.endswith(f"; {commit} is read as a number: for text, quote it")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profile: no\naxes: {seed: [1]}", ":1: profile: false is a boolean, not a string (the "),
        ("profile: 1e5\naxes: {seed: [1]}", "; 1e5 is read as a number: for text, quote it"),
        ("profile: mine\naxes: {site: [off]}", "; off is read as true or false: for text, quote"),
        ("profile: mine\naxes: {dry.value: [1e999]}", "; 1e999 is read as a number"),
        ("profile: smoke\naxes: {data.too_long: [on]}", "; on is read as true or false: for te"),
        ("profile: smoke\nset: {data.too_long: on}\naxes: {seed: [1]}", ":2: data.too_long: true"),
    ],
)
def test_an_unquoted_text_of_a_matrix_is_told_to_be_quoted(
    project: Project, text: str, message: str
) -> None:
    project.matrix(text + "\n")
    said = fault(project, "matrix=question")
    assert message in said
    assert "for text, quote it" in said


@pytest.mark.parametrize("commit", ["695e0514", "1234567", "1e5"])
def test_a_number_on_the_command_line_is_told_to_be_quoted(project: Project, commit: str) -> None:
    said = fault(project, "+profile=smoke", HUB % commit)
    assert f"; {commit} is read as a number: for text, quote it" in said
    assert "is read as" not in fault(project, "+profile=smoke", HUB % f'"{commit}"')


def test_a_number_where_a_number_is_due_is_no_text(project: Project) -> None:
    project.profile(DRY.replace("value: 1", "value: yes"))
    said = "dry.value: true is a boolean, not a number (what the job computes with: its square"
    assert said in fault(project, "+profile=mine")


def test_a_list_without_brackets_is_told_with_them(project: Project) -> None:
    word = "train.rank_weights=1,1"
    brackets = "a list has brackets: 'train.rank_weights=[1,1]'"
    assert fault(project, "+profile=smoke", word) == f"'{word}' is no list; {brackets}"
    assert fault(project, "+profile=smoke", "seed=1", f"+{word}").endswith(
        "a list has brackets: '+train.rank_weights=[1,1]'"
    )
    project.matrix("profile: smoke\naxes: {seed: [1, 2]}\n")
    said = "is a sweep; a matrix has its axes in its file, and a list is 'train.rank_weights=[1,1]'"
    assert said in fault(project, "matrix=question", word)
    said = "'seed=1,2' is a sweep; add -m to run all its values"
    assert fault(project, "+profile=smoke", "seed=1,2") == said
    said = fault(project, "+profile=smoke", word, sweep=True)
    assert "not a list (one share of rows per rank; 1 for each with strategy tensor); " in said
    assert "; a list has brackets: [1,1]" in said
    assert "a list has brackets: [1]" in fault(project, "+profile=smoke", "train.rank_weights=1")


@pytest.mark.parametrize("sweep", ["range(1,1000000000)", "choice(1,2)", "interval(0, 1)"])
def test_a_sweep_of_the_command_line_in_a_file_is_told_with_a_list(
    project: Project, sweep: str
) -> None:
    advice = "that is for the command line, with -m: in a file, axes have lists, as [1, 2, 3]"
    for axes in (f'"{sweep}"', f'["{sweep}"]'):
        project.matrix(f"profile: mine\naxes: {{seed: {axes}}}\n")
        assert advice in fault(project, "matrix=question")
    project.matrix("profile: mine\naxes: {seed: [1, 2, 3]}\n")
    assert len(project.read("matrix=question").cells) == 3


def test_a_key_of_another_form_of_a_source_is_told_with_the_whole(project: Project) -> None:
    said = fault(project, "+profile=smoke", "model.source.hub=a/b")
    assert said.endswith(
        "model.source.hub: does not go with recipe; on the command line give all of it, in quotes: "
        "'model.source={hub:…,commit:…}'; in a file choose an option that has it: "
        "override /model: NAME"
    )
    said = fault(project, "+profile=asr_ctc", "alphabet.source.file=x")
    assert "'alphabet.source={file:…}'" in said
    assert said.endswith("override /script: NAME")
    assert "data.source={folder:…}" in fault(project, "+profile=smoke", "data.source.folder=/x")
    said = fault(project, "+profile=smoke", "model.source={hub:a/b,commit:main}")
    assert "no snapshot of a/b (main)" in said


@pytest.mark.parametrize(("old", "new"), [("executor", "runs_on")])
def test_a_key_that_a_site_had_before_is_told_with_its_new_name(
    project: Project, old: str, new: str
) -> None:
    project.write("conf/site/lab.yaml", f"# @package runtime.site\nname: lab\n{old}: local\n")
    said = fault(project, "+profile=mine", "site=lab")
    assert f"site/lab.yaml:3: runtime.site.{old}: not a key any more, it is {new} now; all" in said
