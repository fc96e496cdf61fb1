"""YAML is read in one way: Hydra's meaning of scalars, bounds, every fault in one line."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf
from projects import DRY, Project

from thunder.config import yaml_file
from thunder.ground.errors import ThunderError

SCALARS = [
    "1", "-1", "+1", "0", "1_000", "0x1F", "0b101", "1.5", "1e3", "1e-3", "1E5", ".5", "1.",
    "-.inf", ".nan", "695e0514", "12345678", "yes", "No", "off", "true", "null", "~", "text",
    "''", '"1"',
    "2024-01-02", "2024-01-02 10:00:00", "1e", "e1", "08", "1_0.5", "${a}", "???",
]  # fmt: skip


def fault(path: Path) -> str:
    with pytest.raises(ThunderError) as caught:
        yaml_file.read(path)
    return str(caught.value)


@pytest.mark.parametrize("written", SCALARS)
def test_a_scalar_means_what_it_means_to_hydra(project: Project, written: str) -> None:
    path = project.write("one.yaml", f"key: {written}\n")
    theirs = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert repr(yaml_file.read(path)) == repr(theirs)


@pytest.mark.parametrize(
    ("written", "value"),
    [("010", "8"), ("-017", "-15"), ("1:30", "90"), ("1:30:15", "5415"), ("1:30.5", "90.5")],
)
def test_another_base_and_minutes_are_refused(project: Project, written: str, value: str) -> None:
    path = project.write("one.yaml", f"a: 1\nkey: {written}\n")
    message = f"one.yaml:2: YAML reads {written} as {value}: write that, or quote it for text"
    with pytest.raises(ThunderError) as caught:
        yaml_file.read(path)
    assert str(caught.value) == message
    assert yaml_file.read(project.write("one.yaml", f"key: '{written}'\n")) == {"key": written}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_mark_and_the_line_ends_of_windows_change_nothing(
    project: Project, mark: bytes, end: bytes
) -> None:
    path = project.profile(mark + DRY.encode().replace(b"\n", end))
    assert yaml_file.read(path)["dry"]["value"] == 1
    assert project.read("+profile=mine").cells[0].job.config["dry"]["value"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: 1\nb: x\x00y\n", ":2: \\u0000 is a control character"),
        (b"a: 1\nb: x\x07y\n", ":2: \\u0007 is a control character"),
        (b'a: "\\e[2J"\n', ":1: \\u001b is a control character"),
        (b'a: "\\0"\n', ":1: \\u0000 is a control character"),
        (b"a: \xff\n", ":1: not UTF-8: byte 0xff at column 4"),
        (b"a: 1\n--- \nb: 2\n", ":2: but found another document"),
        (b"a: !!python/object/apply:os.system [ls]\n", ":1: could not determine a constructor"),
        (b"a: *b\n", ":1: found undefined alias"),
        (b"a: &b [1, *b]\n", ":1: *b lies in itself"),
        (b"a: " + b"[" * 200_000, ":1: nested more than 50 deep"),
        (b"- " * 200_000, ":1: nested more than 50 deep"),
        (b"a: &a [[1]]\nb: " + b"[" * 48 + b"*a" + b"]" * 48, ":2: nested more than 50 deep"),
        (b"a: " + b"x" * 10_000_000, ": 10,000,003 bytes; a file of YAML has 1,048,576 at most"),
        (b"a:\n" + b"- 1\n" * 100_000, ":49999: more than 50,000 values, aliases written out"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_read_is_told_at_once(project: Project, text: bytes, message: str) -> None:
    path = project.write("one.yaml", text)
    begun = time.perf_counter()
    assert fault(path).startswith(f"one.yaml{message}")
    assert time.perf_counter() - begun < 2


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("place", ["matrices/question", "conf/profile/mine", "conf/local"])
def test_aliases_that_expand_without_end_are_refused(project: Project, place: str) -> None:
    project.write(f"{place}.yaml", laughs(12))
    words = ["matrix=question"] if place.startswith("matrices") else ["+profile=mine"]
    with pytest.raises(ThunderError, match=rf"{place}.yaml:5: more than 50,000 values"):
        project.read(*words)


def test_aliases_that_nest_without_end_are_refused(project: Project) -> None:
    deep = "[" * 45
    lines = [f"a0: &a0 {deep}1{']' * 45}"]
    lines += [f"a{n}: &a{n} {deep}*a{n - 1}{']' * 45}" for n in range(1, 30)]
    path = project.write("one.yaml", "\n".join(lines))
    assert fault(path) == "one.yaml:2: nested more than 50 deep"


def test_an_alias_may_reach_the_bound(project: Project) -> None:
    deep = "[" * 47
    path = project.write("one.yaml", f"a: &a [[1]]\nb: {deep}*a{']' * 47}\n")
    assert repr(yaml_file.read(path)["b"]) == f"{deep}[[1]]{']' * 47}"


def test_a_folder_is_named_in_words(project: Project) -> None:
    (project.write("one.yaml", "").parent / "two.yaml").mkdir()
    with pytest.raises(ThunderError) as caught:
        yaml_file.read(project.write("one.yaml", "").with_name("two.yaml"))
    assert str(caught.value) == "two.yaml: Is a directory"


def test_aliases_and_merged_keys_that_stay_small_are_read(project: Project) -> None:
    path = project.write("one.yaml", "a: &a {x: 1, y: [2]}\nb: {<<: *a, x: 3}\nc: *a\n")
    value = {"a": {"x": 1, "y": [2]}, "b": {"x": 3, "y": [2]}, "c": {"x": 1, "y": [2]}}
    assert yaml_file.read(path) == value


@pytest.mark.parametrize("text", [b"kind: dry\x07\n", b"kind: dry\x00\n", b"\x1b[31mred: 1\n"])
def test_a_control_character_in_a_profile_is_one_message(
    project: Project, run_thunder: Callable[..., "subprocess.CompletedProcess[str]"], text: bytes
) -> None:
    project.profile(b"# @package _global_\n" + text)
    done = run_thunder("--config-dir", str(project.conf), "+profile=mine")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "mine.yaml:2: \\u00" in done.stderr


def test_without_libyaml_the_same_is_read(tmp_path: Path) -> None:
    code = (
        "import sys, yaml; del yaml.CSafeLoader\n"
        "from pathlib import Path\n"
        "from thunder.config import yaml_file\n"
        "print(yaml_file.read(Path('one.yaml')), yaml_file.compose(Path('one.yaml')).start_mark)\n"
        "yaml_file.read(Path('deep.yaml'))\n"
    )
    (tmp_path / "one.yaml").write_text("a: 1e-3\nb: 2024-01-02\n")
    (tmp_path / "deep.yaml").write_text("a: " + "[" * 100)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True, timeout=60
    )
    assert done.stdout.startswith("{'a': 0.001, 'b': '2024-01-02'}")
    assert "deep.yaml:1: nested more than 50 deep" in done.stderr


@pytest.mark.parametrize("written", ["1", "1e-3", "695e0514", "no", "~", "text", "010", ""])
def test_what_a_plain_scalar_is_read_as(written: str) -> None:
    expected = yaml.safe_load(written) if written in ("1", "no", "~", "text") else None
    values = {"1e-3": 0.001, "695e0514": float("inf"), "010": "010", "": None}
    assert yaml_file.scalar(written) == values.get(written, expected)
