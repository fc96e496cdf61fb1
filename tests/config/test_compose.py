from pathlib import Path

import pytest
from projects import DRY, Project

from thunder.commands import requests
from thunder.config import compose as configs
from thunder.config import settable, sources
from thunder.ground import schema
from thunder.ground.errors import ThunderError
from thunder.ground.places import SHIPPED
from thunder.jobs import kinds

PLACES = sources.sources()
PROFILES = PLACES.groups["profile"]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_committed_profile_composes_and_checks(profile: str) -> None:
    job = requests.read([f"+profile={profile}"]).cells[0].job
    assert job.runtime["profile"] == profile
    assert job.kind in kinds.KINDS
    assert job.runtime["reproduce"] == f"python -m thunder +profile={profile}"


def test_the_committed_profiles_are_those_of_the_readme() -> None:
    """May change when a profile is added or taken away."""
    assert PROFILES == [
        "asr_ctc", "asr_ctc_published", "asr_features", "dry", "partial_real_stage1",
        "partial_real_stage1_stable", "smoke", "synthetic_2k_safe",
    ]  # fmt: skip


@pytest.mark.parametrize("path", sorted((SHIPPED / "conf").rglob("*.yaml")), ids=str)
def test_every_file_of_conf_says_what_it_is_for(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    first = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert first.startswith("# ")


def fault(project: Project, *words: str, sweep: bool = False) -> str:
    with pytest.raises(ThunderError) as caught:
        project.read(*words, sweep=sweep)
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("value: 1", "vlaue: 1",
         "mine.yaml:4: dry.vlaue: not a key here (did you mean 'value'?); allowed: fail, sl"),
        ("value: 1", "vlaue: 1", "mine.yaml:3: dry.value: missing (what the job computes with: "),
        ("value: 1", "value: one", "mine.yaml:4: dry.value: 'one' is a string, not a number"),
        ("value: 1", "value: ???", "mine.yaml:4: dry.value: needs a value: add dry.value=VALUE"),
        ("value: 1", "value: .nan", "mine.yaml:4: dry.value: nan is not a finite number"),
        ("value: 1", "value: ${seeed}", "mine.yaml:4: dry.value: it reads 'seeed', and there is"),
        ("value: 1", "value: ${dry.value}", "mine.yaml:4: dry.value: Recursive interpolation"),
        ("value: 1", "value: ${oc.env:HOME}", "mine.yaml:4: dry.value: '${oc.env:HOME}' is not al"),
        ("value: 1", "value: ${", "conf/profile/mine.yaml: "),
        ("value: 1", "value: 1\n  value: 2", "mine.yaml:5: found duplicate key value"),
        ("value: 1", "value: [1", "mine.yaml:5: did not find expected ',' or ']'"),
        ("value: 1", "\tvalue: 1", "mine.yaml:4: found character that cannot start any token"),
        ("  fail: false", "  fail: maybe", "mine.yaml:6: dry.fail: 'maybe' is a string, not a bo"),
        ("sleep_seconds: 0", "sleep_seconds: -1", "mine.yaml:5: dry.sleep_seconds: -1 is less"),
        ("kind: dry", "kind: drry",
         "mine.yaml:2: kind: 'drry' is not a kind (did you mean 'dry'?); kinds: adapter, asr, "
         "asr_features, dry"),
        ("kind: dry", "kind: [dry]", "mine.yaml:2: kind: ['dry'] is not a kind"),
        ("kind: dry", "kind: dry\nseed: 1.5", "mine.yaml:3: seed: 1.5 is a number, not an integer"),
        ("kind: dry", "kind: dry\nruntime: 3", "mine.yaml:3: runtime: 3 is an integer, not a map"),
        ("kind: dry", "kind: dry\nruntime: {jbos: 3}", "runtime.jbos: not a key here"),
        ("kind: dry", "kind: dry\nruntime: {paths: {model: /x}}", "mine.yaml:3: runtime.paths: "),
        ("kind: dry", "kind: dry\n? [a, b]\n: 1", "mine.yaml:3: found unhashable key"),
        ("kind: dry", "kind: dry\n1: 2", "mine.yaml:3: 1: not a key here"),
        ("# @package _global_\n", "", "mine.yaml sets none; its first line must be '# @package"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_profile_is_told_with_its_line(
    project: Project, old: str, new: str, message: str
) -> None:
    project.profile(DRY.replace(old, new))
    assert message in fault(project, "+profile=mine")


@pytest.mark.parametrize(
    ("defaults", "message"),
    [
        (
            "- /site: lcoal",
            ":3: no site 'lcoal' (did you mean 'local'?); conf/site/ has local, mac",
        ),
        ("- override /site: lcoal", ":3: no site 'lcoal' (did you mean 'local'?)"),
        ("- override /siet: local", ":3: 'siet' is not a group (did you mean 'site'?); groups: "),
        ("- /modle: gemma4_e2b", ":3: 'modle' is not a group (did you mean 'model'?)"),
        ("- override /model: gemma4_e2b", ":3: this profile chooses no model; leave model out"),
        ("- dri", ":3: no profile 'dri' (did you mean 'dry'?)"),
        ("- mine", ": it includes itself"),
        ("{a: b}", ": Invalid defaults list"),
    ],
)
def test_a_mistake_in_a_defaults_list_is_told_with_its_line(
    project: Project, defaults: str, message: str
) -> None:
    head, rest = DRY.split("\n", 1)
    project.profile(f"{head}\ndefaults:\n  {defaults}\n{rest}")
    assert f"conf/profile/mine.yaml{message}" in fault(project, "+profile=mine")


@pytest.mark.parametrize("text", ["", "# @package _global_\n"])
def test_a_profile_that_sets_nothing_is_told(project: Project, text: str) -> None:
    project.profile(text)
    assert "conf/profile/mine.yaml sets none" in fault(project, "+profile=mine")


def test_a_list_or_bytes_in_place_of_a_profile_are_told(project: Project) -> None:
    project.profile("- kind: dry\n")
    message = fault(project, "+profile=mine")
    assert message == "conf/profile/mine.yaml: a mapping is needed, found list"
    project.profile(DRY.encode() + b"# \xff\n")
    assert "conf/profile/mine.yaml:7: not UTF-8" in fault(project, "+profile=mine")


def test_every_fault_of_a_profile_is_told_at_once(project: Project) -> None:
    project.profile(DRY.replace("value: 1", "value: one").replace("false", "maybe"))
    message = fault(project, "+profile=mine", "seed=-1", "jobs=0", "windwo=3")
    assert [line.strip().partition(": ")[0] for line in message.splitlines()] == [
        "profile 'mine' cannot run:",
        "conf/profile/mine.yaml:6",
        "conf/profile/mine.yaml:4",
        "command line 'jobs=0'",
        "command line 'seed=-1'",
        "command line 'windwo=3'",
    ]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "+profile=mien",
            "no profile 'mien' (did you mean 'mine'?); conf/profile/ has asr_ctc, ",
        ),
        ("+profile=site", "no profile 'site'"),
        ("+profile=", "no profile ''"),
        ("+profile=[mine]", "'+profile=[mine]': one name is needed, not ['mine']"),
        ("+profiel=mine", "'+profiel=mine': profiel: not a key here (did you mean 'profile'?)"),
        (
            "matrix=adapter_rnak",
            "no matrix 'adapter_rnak' (did you mean 'adapter_rank'?); matrices",
        ),
        ("matrix=", "no matrix ''"),
        ("matrix=../conf/config", "no matrix '../conf/config'"),
        ("seed=1", "no profile is chosen: add +profile=NAME; conf/profile/ has asr_ctc, "),
    ],
)
def test_a_name_that_does_not_exist_is_told_with_the_nearest(
    project: Project, word: str, message: str
) -> None:
    assert message in fault(project, word)


def test_a_site_that_does_not_bind_a_name_is_told(project: Project) -> None:
    project.write(
        "conf/site/bare.yaml",
        "# @package runtime.site\nname: bare\nruns_on: local\n"
        "ranks_on: [{name: a, address: b}]\nmodels: {}\ndata: {}\n",
    )
    message = fault(project, "+profile=smoke", "site=bare")
    assert "conf/model/gemma4_e2b.yaml:3: model.source: site 'bare' does not say what " in message
    assert "'runtime.site.models.gemma4_e2b' is; add it to the site" in message


def test_a_site_that_does_not_say_where_it_belongs_is_told(project: Project) -> None:
    project.write("conf/site/lab.yaml", "# ours\n# @package runtime.site\nname: lab\n")
    message = fault(project, "+profile=smoke", "site=lab")
    assert "conf/site/lab.yaml: its first line must be '# @package runtime.site'" in message


def test_a_value_that_must_be_given_is_asked_for(project: Project) -> None:
    message = fault(project, "+profile=smoke", "model=folder", "data=folder")
    assert "conf/data/folder.yaml:4: data.source.folder: needs a value" in message
    assert "conf/model/folder.yaml:4: model.source.folder: needs a value" in message


def test_what_this_machine_misses_is_told_at_once(project: Project) -> None:
    words = ("+profile=smoke", "site=mac_pair", "data=folder", "data.source.folder=nowhere")
    message = fault(project, *words)
    assert "site 'mac_pair' is not ready on this machine" in message
    assert "no snapshot of mlx-community/gemma-4-e2b-4bit (main) in" in message
    assert f"no folder {project.root / 'nowhere'}" in message
    words = (*words, "runtime.site.hosts={mac4: {}}")
    assert "host 'mac5' is not described (did you mean 'mac4'?): add hosts.mac5" in fault(
        project, *words
    )


def test_local_yaml_sets_the_site_and_runtime_of_this_machine(project: Project) -> None:
    text = (SHIPPED / "conf/site/local.yaml").read_text().replace("name: local", "name: lab")
    project.write("conf/site/lab.yaml", text)
    project.write("conf/local.yaml", "site: lab\nruntime: {jobs: 3, stall_seconds: 9}\n")
    job = project.read("+profile=mine").cells[0].job
    assert (job.runtime["site"]["name"], job.runtime["jobs"]) == ("lab", 3)
    assert job.id == project.read("+profile=mine", "site=local").cells[0].job.id
    assert project.read("+profile=mine", "jobs=2").runtime["jobs"] == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 3", ":1: seed: not a key here (did you mean 'site'?); allowed: runtime"),
        ("site: [local]", ":1: site: ['local'] is a list, not a string"),
        ("site: no", ":1: site: false is a boolean, not a string (the site of this machine, an "),
        ("runtime: 3", ":1: runtime: 3 is an integer, not a mapping"),
        ("runtime:\n  jbos: 1", ":2: runtime.jbos: not a key here (did you mean 'jobs'?)"),
        ("runtime:\n  jobs: 0", ":2: runtime.jobs: 0 is less than the minimum of 1"),
        ("runtime:\n  jobs: two", ":2: runtime.jobs: 'two' is a string, not an integer"),
        ("runtime:\n  force: 1\n  deep: 1", ":\n  conf/local.yaml:3: runtime.deep: 1 is an integ"),
        ("runtime: {stall_seconds: .inf}", ":1: runtime.stall_seconds: inf is not a finite number"),
        ("runtime: {site: {hots: []}}", ":1: runtime.site.hots: not a key here"),
        ("runtime: {site: {data: {x: 3}}}", ":1: runtime.site.data.x: 3 is an integer, not a map"),
        ("runtime: {paths: {data: /x}}", ":1: runtime.paths: not a key here"),
        ("site: local\nsite: local", ":2: found duplicate key site"),
        ("[]", ": a mapping is needed, found list"),
        ("hello", ": a mapping is needed, found a string"),
        ("runtime: [", ":2: did not find expected node content"),
        ("runtime: {jobs: 1, jobs: 2}", ":1: found duplicate key jobs"),
        ("runtime: {outputs: {a: 1}}", ":1: runtime.outputs: {'a': 1} is a mapping, not a string"),
        (
            "runtime: {outputs: ''}",
            ":1: runtime.outputs: '' is too short; at least 1 needed (folde",
        ),
        ("runtime: {outputs: 2024}", "; 2024 is read as a number: for text, quote it"),
        ("runtime: {outputs: '${oc.env:HOME}'}", ":1: runtime.outputs: '${oc.env:HOME}' has a re"),
        ("runtime:\n  outputs: ???", ":2: runtime.outputs: '???' has a reference; write the path"),
        ("site: ../../evil", ":1: site: '../../evil' is not a site's name"),
        ("site: a\x07b", ":1: \\u0007 is a control character"),
    ],
)
def test_runs_and_questions_read_local_yaml_by_the_same_rules(
    project: Project, text: str, message: str
) -> None:
    project.write("conf/local.yaml", text + "\n")
    with pytest.raises(ThunderError) as caught:
        project.places.outputs()
    assert str(caught.value).startswith("conf/local.yaml:")
    assert message in str(caught.value)
    assert fault(project, "+profile=mine") == str(caught.value)


def test_a_site_that_local_yaml_chooses_is_one_of_the_options(project: Project) -> None:
    project.write("conf/local.yaml", "site: lcoal\n")
    message = "conf/local.yaml:1: no site 'lcoal' (did you mean 'local'?)"
    assert message in fault(project, "+profile=mine")


def test_local_yaml_may_set_every_key_that_a_word_may(project: Project) -> None:
    allowed = schema.load("local")["properties"]["runtime"]["properties"]
    assert {*allowed} == {*settable.SHORTHAND, "site"}
    site = "site: {data: {partial_real: {rows: 700}}}"
    project.write("conf/local.yaml", f"runtime: {{jobs: 2, window: null, {site}}}\n")
    job = project.read("+profile=partial_real_stage1").cells[0].job
    assert (job.runtime["jobs"], job.config["data"]["source"]["rows"]) == (2, 700)


def test_names_of_thunder_cannot_be_taken(project: Project) -> None:
    project.profile(DRY, "smoke")
    project.matrix("profile: mine\naxes: {seed: [1]}\n", "adapter_rank")
    message = fault(project, "+profile=mine")
    assert "files with the names of thunder's own; rename:" in message
    assert "conf/profile/smoke.yaml" in message
    assert "matrices/adapter_rank.yaml" in message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "no such folder"),
        ("conf/profile/mine.yaml", "no such folder"),
        (".", "not a conf/ folder; did you mean .*/conf"),
    ],
)
def test_a_config_dir_that_is_none_is_told(project: Project, name: str, message: str) -> None:
    with pytest.raises(ThunderError, match=message):
        sources.sources(project.root / name)


def test_a_conf_with_a_config_of_its_own_stands_alone(project: Project) -> None:
    project.write("conf/config.yaml", "seed: 0\n")
    assert list(project.places.groups) == ["profile"]
    assert "runtime: missing" in fault(project, "+profile=mine")


def test_references_of_every_form_are_resolved_for_every_value(project: Project) -> None:
    for form in ("${seed}", "${.sleep_seconds}", "${dry[sleep_seconds]}", "${dry.sleep_seconds}"):
        project.profile(DRY.replace("value: 1", f'value: "{form}"'))
        template = configs.compose({"profile": "mine"}, project.places)
        filled = template.fill({"seed": 7, "dry.sleep_seconds": 7})
        assert filled["dry"]["value"] == 7, form


def test_references_inside_lists_are_resolved_for_every_value(project: Project) -> None:
    project.profile(DRY.replace("value: 1", "value: ['${seed}', {deep: '${seed}'}]"))
    template = configs.compose({"profile": "mine"}, project.places)
    assert template.fill({"seed": 7})["dry"]["value"] == [7, {"deep": 7}]


def test_filling_never_edits_what_was_composed(project: Project) -> None:
    template = configs.compose({"profile": "mine"}, project.places)
    first, second = template.fill({"dry.value": 2}), template.fill({"dry.value": 2})
    third = template.fill({"dry.value": True})
    assert template.fill({})["dry"]["value"] == 1
    assert first["dry"] is second["dry"]
    assert third["dry"]["value"] is True


@pytest.mark.parametrize("name", ["hydra", "my_hydra_run", "hydrates"])
def test_a_profile_may_have_hydra_in_its_name(project: Project, name: str) -> None:
    project.profile(DRY.replace("value: 1", "value: one"), name)
    assert f"conf/profile/{name}.yaml:4: dry.value:" in fault(project, f"+profile={name}")


def test_a_choice_is_placed_where_it_is_made(project: Project) -> None:
    comment = "# - /model: nope and - nope\n"
    header, rest = DRY.split("\n", 1)
    project.profile(f"{header}\n{comment}defaults:\n  - /model: nope\n  - _self_\n{rest}")
    assert fault(project, "+profile=mine").startswith("conf/profile/mine.yaml:4: no model 'nope'")
    project.profile(f"{header}\n{comment}defaults:\n  - nope\n  - _self_\n{rest}")
    assert fault(project, "+profile=mine").startswith("conf/profile/mine.yaml:4: no profile 'nope'")


def test_a_word_behind_a_reference_is_named(project: Project) -> None:
    word = "runtime.site.models.gemma4_e2b.hidden=5"
    assert f"command line '{word}': model.source.hidden: 5 is less" in fault(
        project, "+profile=smoke", word
    )


def test_a_key_that_a_profile_asks_for_hides_the_default(project: Project) -> None:
    project.profile(DRY + "seed: ???\n")
    message = fault(project, "+profile=mine")
    assert "conf/profile/mine.yaml:7: seed: needs a value: add seed=VALUE" in message
    assert project.read("+profile=mine", "seed=3").cells[0].job.config["seed"] == 3


def test_a_later_layer_may_give_what_an_earlier_one_asks_for(project: Project) -> None:
    project.profile(DRY + "runtime:\n  jobs: ???\n")
    project.write("conf/local.yaml", "runtime: {jobs: 2}\n")
    assert project.read("+profile=mine").runtime["jobs"] == 2


@pytest.mark.parametrize(
    "form",
    ["${runtime.stall_seconds}", "${runtime[stall_seconds]}", "${..runtime.stall_seconds}",
     "${runtime}", "${runtime.site}", "${dry.${seed}}", "${oc.env:HOME}"],
)  # fmt: skip
def test_a_job_reads_nothing_of_runtime_but_the_site(project: Project, form: str) -> None:
    project.profile(DRY.replace("value: 1", f'value: "{form}"'))
    message = fault(project, "+profile=mine")
    assert message == (
        f"conf/profile/mine.yaml:4: dry.value: {form!r} is not allowed; only ${{KEY}} can be "
        "read here, and of runtime only ${runtime.site.KEY}"
    )


def test_a_project_is_not_its_conf(project: Project) -> None:
    project.write("other/some.yaml", "a: 1\n")
    with pytest.raises(ThunderError, match=r"not a conf/ folder; did you mean .*project/conf\?"):
        sources.sources(project.root)


def test_a_word_in_short_is_the_nearest_name(project: Project) -> None:
    assert "windw: not a key here (did you mean 'window'?)" in fault(
        project, "+profile=mine", "windw=10"
    )


@pytest.mark.parametrize("words", [[], ["seed=3"], ["train.steps=3"], ["window=3"]])
def test_no_profile_is_told_and_nothing_else(project: Project, words: list[str]) -> None:
    first, second = fault(project, *words).splitlines()
    assert first == "nothing can run:"
    assert second.startswith("  no profile is chosen: add +profile=NAME; conf/profile/ has asr_")


def test_outputs_may_lie_at_home_and_must_be_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    request = project.read("+profile=mine", 'outputs="~/runs"')
    assert request.outputs == Path("/somewhere/runs")
    assert "runtime.outputs: '' is too short" in fault(project, "+profile=mine", "outputs=")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("runtime: {outputs: elsewhere}", "elsewhere"),
        ("runtime: {jobs: 2}", "outputs"),
        ("site: local", "outputs"),
        ("", "outputs"),
    ],
)
def test_where_the_runs_of_this_machine_land(project: Project, text: str, expected: str) -> None:
    assert project.places.outputs() == "outputs"
    project.write("conf/local.yaml", text + "\n")
    assert project.places.outputs() == expected
